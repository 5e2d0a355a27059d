"""The process that times: reads requests as lines of JSON on stdin, answers with lines of JSON on stdout.

It stands alone: it needs Python, numpy and the runtime, and nothing of ofa-hw, so it is pushed to a board as it is.

    {"op": "open", "runtime": R, "models": [path...], "shapes": [null or {input: shape}...], "cores": [c...],
     "num_threads": n, "options": {...}}
    {"op": "run", "index": i, "input": base64 of float32, "shape": [...]}
    {"op": "time", "order": [i...], "repeats": [n...]}
    {"op": "describe", "distributions": [name...]}   {"op": "state", "cores": [c...]}

Every answer has "ok"; where it is false, "error" says why in one line. The process ends, whatever it is doing, at
{"op": "close"} or when stdin ends, so that nothing goes on when the process that started it was killed.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import os
import platform
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

try:
    import resource
except ImportError:  # pragma: no cover - not on Windows
    resource = None  # type: ignore[assignment]


class Runner(Protocol):
    """One model, ready to run."""

    mark: str
    """A word that warns of its times, or nothing."""

    # A runner whose device has a clock of its own also has `measure(count)`: the ms for one execution, of `count`.

    def invoke(self) -> object:
        """Execute the model once on whatever its input holds."""
        ...

    def run(self, x: Any) -> Any:
        """Return the output for the float32 array `x`, in the layout of the model."""
        ...


# ----------------------------------------------------------------------------------------------- runtimes


class TfliteRunner:
    """A .tflite file in ai-edge-litert or tflite-runtime."""

    def __init__(
        self, path: str, *, package: str, num_threads: int, use_delegate: bool, shapes: dict[str, list[int]] | None
    ) -> None:
        """Build the interpreter on made-up inputs.

        `shapes` are those of inputs by name, where somebody else made the model: it may leave operators to TFLite's own
        kernels, and is marked then. With None it is ours, and RuntimeError where XNNPACK did not take the whole graph.
        """
        interpreters = _interpreters(package)
        resolver = interpreters.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self._interpreter = interpreters.Interpreter(
            model_path=path,
            num_threads=num_threads,
            **({} if use_delegate else {"experimental_op_resolver_type": resolver}),
        )
        assumed = self._resize(shapes or {})
        with _explaining(assumed):
            self._interpreter.allocate_tensors()
        self._source = self._interpreter.get_input_details()[0]
        self._target = self._interpreter.get_output_details()[0]
        for source in self._interpreter.get_input_details():
            values = _made_up(source["name"], source["shape"], source["dtype"])
            self._interpreter.set_tensor(source["index"], values)
        self.invoke = self._interpreter.invoke
        with _explaining(assumed):
            self.invoke()
        partly = self._check_delegate(is_ours=shapes is None) if use_delegate else ""
        self.mark = " ".join(filter(None, [assumed, partly]))

    def run(self, x: Any) -> Any:
        """Return the float32 output of the NHWC input `x`; integers are scaled on both sides."""
        self._interpreter.set_tensor(self._source["index"], _quantise(x, self._source))
        self.invoke()
        return _dequantise(self._interpreter.get_tensor(self._target["index"]), self._target)

    def _resize(self, shapes: dict[str, list[int]]) -> str:
        """Give every input its shape; return the mark where one had to be assumed."""
        sources = self._interpreter.get_input_details()
        _check_names(shapes, [source["name"] for source in sources])
        marks = []
        for source in sources:
            dims = source["shape_signature"] if len(source["shape_signature"]) else source["shape"]
            shape, mark = _concrete(source["name"], [int(dim) for dim in dims], shapes)
            if shape != [int(size) for size in source["shape"]]:
                self._interpreter.resize_tensor_input(source["index"], shape)
            marks.append(mark)
        return " ".join(filter(None, marks))

    def _check_delegate(self, *, is_ours: bool) -> str:
        # There is no public way to see what a delegate took.
        operations = self._interpreter._get_ops_details()
        delegated = [operation for operation in operations if operation["op_name"] == "DELEGATE"]
        if len(delegated) == 1 and list(delegated[0]["outputs"]) == [self._target["index"]]:
            return ""
        if not is_ours:
            return "partly-delegated"
        names = sorted({operation["op_name"] for operation in operations})
        raise RuntimeError(f"XNNPACK must take the whole graph as one node; it took {len(delegated)} of {names}")


def _interpreters(package: str) -> Any:
    if package == "tflite_runtime":
        from tflite_runtime import interpreter
    else:
        from ai_edge_litert import interpreter
    return interpreter


def _check_names(shapes: dict[str, list[int]], names: list[str]) -> None:
    unknown = sorted(set(shapes) - set(names))
    if unknown:
        raise ValueError(f"shapes must be those of the inputs {', '.join(names)}; came {', '.join(unknown)}")


def _concrete(name: str, dims: list[Any], shapes: dict[str, list[int]]) -> tuple[list[int], str]:
    """Return the shape of the input `name`, and a mark where open dimensions had to be assumed.

    Whatever is no positive number in `dims` is open: a batch is 1, the side of an image 224, a sequence 128 long.
    """
    is_open = [not (isinstance(dim, int) and dim > 0) for dim in dims]
    if name in shapes:
        shape = list(shapes[name])
        # A file that gives no dimension at all may have any number of them.
        if dims and (len(shape) != len(dims) or any(a != b for a, b, free in zip(shape, dims, is_open) if not free)):  # noqa: B905
            raise ValueError(f"input {name} must be of shape {dims}; came {shape}")
        return shape, ""
    side = 224 if len(dims) == 4 else 128
    shape = [(side if axis else 1) if is_open[axis] else dim for axis, dim in enumerate(dims)]
    sizes = "x".join(map(str, shape))
    return shape, f"assumed:{'_'.join(name.split())}={sizes}" if any(is_open[1:]) else ""


@contextlib.contextmanager
def _explaining(assumed: str) -> Iterator[None]:
    """Add to any failure in here that a shape which was `assumed` may be the cause."""
    try:
        yield
    except Exception as error:
        if not assumed:
            raise
        raise ValueError(f"open shapes were {assumed}, which may be wrong: give them as shapes; {error}") from error


def _made_up(name: str, shape: Any, dtype: Any) -> Any:
    """Return an input: noise for numbers that may be pixels, zeros for integers that may be indices."""
    import numpy as np

    dtype, rng = np.dtype(dtype), np.random.default_rng(0)
    if dtype.kind == "f":
        return rng.random(tuple(shape)).astype(dtype)
    if dtype in (np.int8, np.uint8):
        return rng.integers(0, 128, tuple(shape)).astype(dtype)
    if dtype.kind in "iubc":
        return np.zeros(tuple(shape), dtype)
    raise ValueError(f"input {name} must hold numbers; it holds {dtype}")


def _quantise(x: Any, tensor: Any) -> Any:
    import numpy as np

    if tensor["dtype"] == np.float32:
        return x
    scale, zero_point = tensor["quantization"]
    limits = np.iinfo(tensor["dtype"])
    return np.clip(np.rint(x / scale) + zero_point, limits.min, limits.max).astype(tensor["dtype"])


def _dequantise(y: Any, tensor: Any) -> Any:
    import numpy as np

    if y.dtype == np.float32:
        return y
    scale, zero_point = tensor["quantization"]
    return ((y.astype(np.float32) - zero_point) * scale).astype(np.float32)


_NUMPY_NAMES = {"float": "float32", "double": "float64"}


class OnnxRunner:
    """An .onnx file in ONNX Runtime, its inputs and outputs bound so that a call copies nothing."""

    def __init__(self, path: str, *, provider: str, num_threads: int, shapes: dict[str, list[int]] | None) -> None:
        """Build the session on made-up inputs, of these `shapes` by name where the file leaves them open.

        ValueError where the execution provider is not there.
        """
        import onnxruntime

        available = onnxruntime.get_available_providers()
        if provider not in available:
            raise ValueError(f"execution provider must be one of {', '.join(available)}; came {provider}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait would heat the core and take time from others.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(path, options, providers=[provider])
        if self._session.get_providers()[0] != provider:
            raise ValueError(f"{provider} did not start; ONNX Runtime fell back to {self._session.get_providers()[0]}")
        sources = self._session.get_inputs()
        _check_names(shapes or {}, [source.name for source in sources])
        self._inputs, marks = {}, []
        for source in sources:
            shape, mark = _concrete(source.name, source.shape, shapes or {})
            kind = source.type.partition("(")[2].rstrip(")")
            if not source.type.startswith("tensor(") or kind in ("string", "bfloat16"):
                raise ValueError(f"input {source.name} must be a tensor of numbers; it is {source.type}")
            self._inputs[source.name] = _made_up(source.name, shape, _NUMPY_NAMES.get(kind, kind))
            marks.append(mark)
        self.mark = " ".join(filter(None, marks))
        with _explaining(self.mark):
            self._bind()

    def invoke(self) -> object:
        """Execute the model on the bound inputs."""
        return self._session.run_with_iobinding(self._binding)

    def run(self, x: Any) -> Any:
        """Return the first output for `x` as the first input, which stays bound."""
        self._inputs[next(iter(self._inputs))] = x
        self._bind()
        self.invoke()
        return self._outputs[0].numpy()

    def _bind(self) -> None:
        import numpy as np
        import onnxruntime

        results = self._session.run(None, self._inputs)
        if not all(isinstance(result, np.ndarray) and result.dtype.kind in "fiub" for result in results):
            # Sequences, maps and strings cannot be bound.
            self.invoke = lambda: self._session.run(None, self._inputs)  # type: ignore[method-assign]
            return
        self._binding = self._session.io_binding()
        self._bound = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in self._inputs.values()]
        self._outputs = [onnxruntime.OrtValue.ortvalue_from_numpy(result) for result in results]
        for name, value in zip(self._inputs, self._bound):  # noqa: B905
            self._binding.bind_ortvalue_input(name, value)
        for target, value in zip(self._session.get_outputs(), self._outputs):  # noqa: B905
            self._binding.bind_ortvalue_output(target.name, value)


class TvmRunner:
    """A library that TVM compiled from Relax, in its virtual machine."""

    def __init__(self, path: str, *, shape: list[int]) -> None:
        """Load the library and bind an input of `shape`."""
        from tvm import cpu, relax, runtime

        self.mark = ""
        self._tensor = runtime.tensor
        self._machine = relax.VirtualMachine(runtime.load_module(path), cpu())
        self.run(_made_up("input", shape, "float32"))

    def invoke(self) -> object:
        """Execute the function on the bound input."""
        return self._bound()

    def run(self, x: Any) -> Any:
        """Return the output for `x`, which stays bound."""
        self._x = self._tensor(x)
        self._machine.save_function("main", "bound", self._x, include_return=False)
        self._bound = self._machine["bound"]
        return self._machine["main"](self._x).numpy()


def _make_tvm(path: str, request: dict[str, Any]) -> Runner:
    return TvmRunner(path, shape=request["options"]["shapes"][request["index"]])


def _make_tflite(path: str, request: dict[str, Any]) -> Runner:
    shapes = request["shapes"][request["index"]]
    return TfliteRunner(path, num_threads=request["num_threads"], shapes=shapes, **request["options"])


def _make_onnx(path: str, request: dict[str, Any]) -> Runner:
    shapes = request["shapes"][request["index"]]
    return OnnxRunner(path, num_threads=request["num_threads"], shapes=shapes, **request["options"])


MAKERS: dict[str, Callable[[str, dict[str, Any]], Runner]] = {
    "tflite": _make_tflite,
    "onnxruntime": _make_onnx,
    "tvm": _make_tvm,
}
"""How each runtime opens the model at a path; the request has the model's `index`, the threads and the options."""


# ------------------------------------------------------------------------------------------------- timing


def time_in_order(runners: list[Runner], order: list[int], repeats: list[int]) -> tuple[list[float], list[bool]]:
    """Return ms for one execution of each runner of `order`, and whether the core was taken away meanwhile.

    Each is executed once untimed, so that every sample starts from caches which hold this model and not the one
    before it; then `repeats` times with the clock around all of them.
    """
    clock = time.perf_counter_ns
    times, disturbed = [], []
    for index, count in zip(order, repeats):  # noqa: B905 - a board may have Python 3.8
        invoke, measure = runners[index].invoke, getattr(runners[index], "measure", None)
        invoke()
        if measure is not None:
            times.append(measure(count))
            disturbed.append(False)
            continue
        before = _switches()
        begin = clock()
        for _ in range(count):
            invoke()
        elapsed = clock() - begin
        disturbed.append(_switches() != before)
        times.append(elapsed / count / 1e6)
    return times, disturbed


def _switches() -> int:
    """Return how often this process was preempted (involuntary context switches)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw if resource is not None else 0


def busy_seconds() -> float:
    """Return the seconds that all cores together were busy since start-up, 0 where it is unknown."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    except (OSError, IndexError):
        return 0.0
    # user, nice, system, irq, softirq, steal; idle and waiting for disks do not count.
    return sum(int(fields[i]) for i in (0, 1, 2, 5, 6, 7)) / os.sysconf("SC_CLK_TCK")


# -------------------------------------------------------------------------------------------- machine state


def machine_state(cores: list[int]) -> dict[str, str]:
    """Return what the machine reports: host, system, Python, governor, clocks, temperature, load, battery."""
    state = {
        "host": f"{platform.machine()} {_cpu_model()}".strip(),
        "system": f"{platform.system()} {platform.release()}",
    }
    state["python"] = platform.python_version()
    core = cores[0] if cores else 0
    governor = _read(f"/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor")
    clock_khz = _read(f"/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq")
    state["governor"] = governor or "unknown"
    state["clocks"] = f"{int(clock_khz) // 1000} MHz" if clock_khz.isdigit() else _proc_clock(core)
    temperatures = [_read(str(path)) for path in sorted(Path("/sys/class/thermal").glob("thermal_zone*/temp"))]
    degrees = [int(text) / 1000 for text in temperatures if text.lstrip("-").isdigit()]
    if degrees:
        state["temperature"] = f"{max(degrees):.1f} C"
    with contextlib.suppress(OSError, AttributeError):
        state["load"] = f"{os.getloadavg()[0]:.2f}"
    for battery in sorted(Path("/sys/class/power_supply").glob("BAT*")):
        state["battery"] = f"{_read(str(battery / 'capacity'))} % {_read(str(battery / 'status'))}"
    return state


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _memory_bytes() -> int:
    """Return the bytes of memory that are available, 0 where it is unknown."""
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _cpu_model() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith(("model name", "Model")):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _proc_clock(core: int) -> str:
    clocks = [line.split(":")[1] for line in _read("/proc/cpuinfo").splitlines() if line.startswith("cpu MHz")]
    return f"{float(clocks[core]):.0f} MHz" if core < len(clocks) else "unknown"


# ------------------------------------------------------------------------------------------------- requests


class Server:
    """Holds the models of one session and answers one request after the other."""

    def __init__(self, makers: Mapping[str, Callable[[str, dict[str, Any]], Runner]]) -> None:
        """Serve the runtimes of `makers`."""
        self.makers = makers
        self.runners: list[Runner] = []
        self.cores: list[int] = []

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to `request`."""
        return dict(getattr(self, f"do_{request['op']}")(request))

    def do_open(self, request: dict[str, Any]) -> dict[str, Any]:
        """Pin this process, then import the runtime and build every model."""
        self.cores = request["cores"]
        if self.cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self.cores)
        make = self.makers[request["runtime"]]
        for index, path in enumerate(request["models"]):
            # Read only where the runtime takes this process with it.
            sys.stderr.write(f"while opening {path}\n")
            sys.stderr.flush()
            try:
                self.runners.append(make(path, {**request, "index": index}))
            except ImportError:
                raise
            except Exception as error:  # noqa: BLE001 - runtimes raise kinds of their own
                return {"ok": False, "index": len(self.runners), "error": _one_line(error)}
        # From here on a collection would fall into a timed sample.
        gc.collect()
        gc.disable()
        return {"ok": True, "marks": [runner.mark for runner in self.runners]}

    def do_run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run one model on the input that came."""
        import numpy as np

        x = np.frombuffer(base64.b64decode(request["input"]), np.float32).reshape(request["shape"])
        y = np.ascontiguousarray(self.runners[request["index"]].run(x), np.float32)
        return {"ok": True, "output": base64.b64encode(y.tobytes()).decode(), "shape": list(y.shape)}

    def do_time(self, request: dict[str, Any]) -> dict[str, Any]:
        """Time models in the order that came, and tell how busy other processes were meanwhile."""
        busy, own, begin = busy_seconds(), time.process_time(), time.perf_counter()
        times, disturbed = time_in_order(self.runners, request["order"], request["repeats"])
        elapsed = time.perf_counter() - begin
        others = busy_seconds() - busy - (time.process_time() - own)
        return {
            "ok": True,
            "ms": times,
            "disturbed": disturbed,
            "others_load": max(others / elapsed, 0.0) if elapsed else 0.0,
            "num_cores": os.cpu_count() or 1,
        }

    def do_describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """Tell which cores may be used, and the version of each distribution, None where it is not installed."""
        import importlib.metadata

        versions: dict[str, str | None] = {}
        for name in request["distributions"]:
            try:
                versions[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                versions[name] = None
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
        return {"ok": True, "cores": cores, "versions": versions, "memory_bytes": _memory_bytes()}

    def do_state(self, request: dict[str, Any]) -> dict[str, Any]:
        """Report the state of the machine."""
        return {"ok": True, "state": machine_state(request["cores"])}


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]


def serve(makers: dict[str, Callable[[str, dict[str, Any]], Runner]]) -> None:
    """Answer requests until the process ends: when one says close, or stdin ends."""
    # A runtime may print to stdout; what it prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = Server(makers)
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests,), daemon=True).start()
    while True:
        request = requests.get()
        try:
            answer = server.answer(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other side must hear of it
            answer = {"ok": False, "error": _one_line(error), "missing": isinstance(error, ImportError)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _receive(requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Hand over requests; then end the process, though a model may be running."""
    try:
        for line in sys.stdin:
            request = json.loads(line)
            if request["op"] == "close":
                return
            requests.put(request)
    finally:
        os._exit(0)


if __name__ == "__main__":
    serve(MAKERS)
