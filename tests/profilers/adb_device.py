"""A phone on loopback: the real `adb` client pushes, pulls and runs commands on this machine, below a folder.

    python adb_device.py PORT ROOT

It speaks as much of the Android debug bridge's protocol (`protocol.txt` and `SYNC.TXT` of Android's adb) as the client
needs for `connect`, `push`, `pull` and `shell`: messages without checks of their sums, no keys, both shells. It proves
the driver on this side, not Android. It ends when nobody has connected for five minutes.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

CONNECT, OPEN, READY, WRITE, CLOSE = (
    int.from_bytes(name, "little") for name in (b"CNXN", b"OPEN", b"OKAY", b"WRTE", b"CLSE")
)
VERSION, MAX_PAYLOAD = 0x01000000, 256 * 1024
BANNER = (
    b"device::ro.product.name=loopback;ro.product.model=Loopback;ro.product.device=loopback;features=shell_v2,cmd\0"
)
HEADER = struct.Struct("<6I")  # command, two arguments, length and sum of the payload, the command's complement
SYNC_HEADER = struct.Struct("<4sI")
SHELL_HEADER = struct.Struct("<BI")
STDOUT, STDERR, EXIT = 1, 2, 3
IDLE_SECONDS, COMMAND_SECONDS = 300, 120


class Stream:
    """One service that the client opened: bytes both ways, each write acknowledged before the next."""

    def __init__(self, connection: Connection, local_id: int, remote_id: int) -> None:
        self.connection, self.local_id, self.remote_id = connection, local_id, remote_id
        self.received: queue.Queue[bytes] = queue.Queue()
        self.may_write = threading.Semaphore(1)
        self._rest = b""

    def read(self, num_bytes: int) -> bytes:
        """Return so many bytes of the client; EOFError where it has closed the stream."""
        while len(self._rest) < num_bytes:
            payload = self.received.get()
            if not payload:
                raise EOFError
            self._rest += payload
        wanted, self._rest = self._rest[:num_bytes], self._rest[num_bytes:]
        return wanted

    def write(self, content: bytes) -> None:
        """Send bytes to the client."""
        step = MAX_PAYLOAD // 4
        for begin in range(0, len(content), step):
            self.may_write.acquire()
            self.connection.send(WRITE, self.local_id, self.remote_id, content[begin : begin + step])

    def close(self) -> None:
        """Tell the client that nothing follows."""
        self.may_write.acquire()
        self.connection.send(CLOSE, self.local_id, self.remote_id)


class Connection:
    """One client, its messages handed to the streams that they belong to."""

    def __init__(self, client: socket.socket, root: Path) -> None:
        self.client, self.root = client, root
        self.streams: dict[int, Stream] = {}
        self._sending = threading.Lock()
        self._num_opened = 0

    def serve(self) -> None:
        """Answer until the client goes."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                command, first, second, length, _, _ = HEADER.unpack(self._receive(HEADER.size))
                self._handle(command, first, second, self._receive(length))

    def send(self, command: int, first: int, second: int, payload: bytes = b"") -> None:
        """Send one message."""
        header = HEADER.pack(command, first, second, len(payload), sum(payload), command ^ 0xFFFFFFFF)
        with self._sending:
            self.client.sendall(header + payload)

    def _receive(self, num_bytes: int) -> bytes:
        received = b""
        while len(received) < num_bytes:
            part = self.client.recv(num_bytes - len(received))
            if not part:
                raise EOFError
            received += part
        return received

    def _handle(self, command: int, remote_id: int, local_id: int, payload: bytes) -> None:
        if command == CONNECT:
            self.send(CONNECT, VERSION, MAX_PAYLOAD, BANNER)
        elif command == OPEN:
            self._num_opened += 1
            stream = self.streams[self._num_opened] = Stream(self, self._num_opened, remote_id)
            self.send(READY, stream.local_id, remote_id)
            service = payload.rstrip(b"\0").decode()
            threading.Thread(target=self._run_service, args=(stream, service), daemon=True).start()
        elif local_id in self.streams:
            stream = self.streams[local_id]
            if command == READY:
                stream.may_write.release()
            elif command == WRITE:
                stream.received.put(payload)
                self.send(READY, local_id, remote_id)
            elif command == CLOSE:
                del self.streams[local_id]
                stream.received.put(b"")

    def _run_service(self, stream: Stream, service: str) -> None:
        with contextlib.suppress(EOFError, OSError):
            if service.startswith("shell"):
                kind, _, line = service.partition(":")
                run_shell(stream, line, self.root, tells_apart=",v2" in kind)
            elif service == "sync:":
                serve_files(stream, self.root)
            stream.close()


def run_shell(stream: Stream, line: str, root: Path, *, tells_apart: bool) -> None:
    """Run a line in this machine's shell; the second version of the service tells stderr and the exit code apart."""
    stderr = subprocess.PIPE if tells_apart else subprocess.STDOUT
    ended = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    if not tells_apart:
        stream.write(ended.stdout)
        return
    for kind, content in ((STDOUT, ended.stdout), (STDERR, ended.stderr), (EXIT, bytes([ended.returncode & 0xFF]))):
        if content:
            stream.write(SHELL_HEADER.pack(kind, len(content)) + content)


def serve_files(stream: Stream, root: Path) -> None:
    """Take and give files below `root` until the client quits."""
    while True:
        request, length = SYNC_HEADER.unpack(stream.read(SYNC_HEADER.size))
        if request == b"QUIT":
            return
        name = stream.read(length).decode()
        if request == b"STAT":
            stream.write(b"STAT" + _stat(root / name.lstrip("/")))
        elif request == b"SEND":
            name, _, mode = name.rpartition(",")
            _take_file(stream, root / name.lstrip("/"), int(mode) & 0o777)
        elif request == b"RECV":
            content = (root / name.lstrip("/")).read_bytes()
            for begin in range(0, len(content), 65536):
                part = content[begin : begin + 65536]
                stream.write(SYNC_HEADER.pack(b"DATA", len(part)) + part)
            stream.write(SYNC_HEADER.pack(b"DONE", 0))


def _stat(path: Path) -> bytes:
    try:
        found = path.stat()
    except OSError:
        return struct.pack("<3I", 0, 0, 0)
    return struct.pack("<3I", found.st_mode, found.st_size, int(found.st_mtime))


def _take_file(stream: Stream, path: Path, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        while True:
            kind, length = SYNC_HEADER.unpack(stream.read(SYNC_HEADER.size))
            if kind == b"DONE":
                break
            file.write(stream.read(length))
    path.chmod(mode)
    stream.write(SYNC_HEADER.pack(b"OKAY", 0))


def main(port: int, root: Path) -> None:
    """Listen on loopback."""
    root.mkdir(parents=True, exist_ok=True)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(4)
        listener.settimeout(IDLE_SECONDS)
        with contextlib.suppress(TimeoutError):
            while True:
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=Connection(client, root).serve, daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
