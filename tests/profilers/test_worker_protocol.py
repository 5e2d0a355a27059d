"""Whatever a worker answers, and where it answers nothing: one line, in time, and nothing goes on."""

import base64
import json
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from ofa_hw.errors import DeviceError
from ofa_hw.profiling import MeasurementPlan, ModelFile, Times, Workload
from ofa_hw.profiling.record import ProcessRecord
from ofa_hw.profiling.rounds import time_rounds
from ofa_hw.testing import light_block
from profilers import worker_process
from profilers.benchmark_model import parse_benchmark
from profilers.onnx import OnnxRuntimeProfiler
from profilers.tflite import TfliteProfiler
from profilers.worker_process import WorkerProcess

TIME = {"op": "time", "order": [0, 1], "repeats": [1, 1]}
TIMES = {"ok": True, "ms": [1.0, 2.0], "disturbed": [False, True], "others_load": 0.1, "num_cores": 4}
OPEN = {"op": "open", "models": ["a", "b"]}
RUN = {"op": "run", "index": 0}
DESCRIBE = {"op": "describe", "distributions": ["numpy"]}
STATE = {"op": "state", "cores": []}


def ask(line, request, *, seconds=20.0, after=""):
    """Return what a worker is understood to answer which writes `line` to each request."""
    script = (
        f"import sys, time, os, signal\nsys.stdin.readline()\nsys.stdout.write({line!r})\nsys.stdout.flush()\n{after}"
    )
    worker = WorkerProcess([sys.executable, "-S", "-c", script], name="board")
    try:
        return worker.ask(request, seconds=seconds)
    finally:
        worker.close()


def test_what_keeps_the_schema_is_taken():
    assert ask(json.dumps(TIMES) + "\n", TIME) == TIMES
    output = {"ok": True, "output": base64.b64encode(np.zeros(2, np.float32)).decode(), "shape": [1, 2]}
    assert ask(json.dumps(output) + "\n", RUN) == output
    versions = {"ok": True, "cores": [0, 3], "versions": {"numpy": None}, "memory_bytes": 0}
    assert ask(json.dumps(versions) + "\n", DESCRIBE) == versions


@pytest.mark.parametrize(
    ("line", "request_", "told"),
    [
        ("Welcome to the board\n", TIME, "must answer in lines of JSON; came 'Welcome to the board'"),
        ("\n", TIME, "must answer in lines of JSON; came ''"),
        ("[" * 100_000 + "\n", TIME, "must answer in lines of JSON"),
        ("null\n", TIME, 'must be an object with "ok"; came .null'),
        ("[]\n", TIME, 'must be an object with "ok"'),
        ('{"ok": 1}\n', TIME, 'must be an object with "ok"'),
        ('{"ok": false}\n', TIME, "error in its answer to 'time' must be a text; came None"),
        (
            '{"ok": false, "error": "no", "index": 7}\n',
            OPEN,
            "index in its answer to 'open' must be the number of a mod",
        ),
        ('{"ok": true}\n', TIME, "ms in its answer to 'time' must be milliseconds above 0"),
        ('{"ok": true}\n', OPEN, "marks in its answer to 'open' must be a text for each model"),
        ('{"ok": true, "marks": [""]}\n', OPEN, "marks in its answer"),
        ('{"ok": true, "output": "????", "shape": [1]}\n', RUN, "output in its answer to 'run' must be float32"),
        ('{"ok": true, "output": "", "shape": [-1]}\n', RUN, "shape in its answer to 'run' must be whole numbers"),
        ('{"ok": true, "cores": [], "versions": {}, "memory_bytes": 1}\n', DESCRIBE, "cores in its answer"),
        ('{"ok": true, "cores": [0], "versions": {}, "memory_bytes": 1}\n', DESCRIBE, "versions in its answer"),
        ('{"ok": true, "cores": [0], "versions": {"numpy": "2"}, "memory_bytes": NaN}\n', DESCRIBE, "memory_bytes"),
        ('{"ok": true, "state": {"governor": 1, "clocks": ""}}\n', STATE, "state in its answer"),
    ],
)
def test_what_does_not_is_told_in_one_line(line, request_, told):
    with pytest.raises(DeviceError, match=f"^board: the worker is not understood: .*{told}") as caught:
        ask(line, request_)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "changes",
    [
        {"ms": [1.0]},
        {"ms": [1.0, 0]},
        {"ms": [1.0, -2]},
        {"ms": [1.0, float("nan")]},
        {"ms": [1.0, float("inf")]},
        {"ms": [1.0, 1e300]},
        {"ms": [1.0, "2.0"]},
        {"ms": [1.0, None]},
        {"ms": [1.0, True]},
        {"ms": "12"},
        {"disturbed": [False]},
        {"disturbed": [0, 1]},
        {"others_load": -1},
        {"others_load": float("nan")},
        {"others_load": "none"},
        {"num_cores": 0},
        {"num_cores": 1.5},
    ],
    ids=str,
)
def test_times_that_are_none_are_told(changes):
    (key,) = changes
    with pytest.raises(
        DeviceError, match=f"board: the worker is not understood: {key} in its answer to 'time' must be"
    ):
        ask(json.dumps(TIMES | changes) + "\n", TIME)


def test_what_would_steer_a_terminal_is_taken_out():
    with pytest.raises(DeviceError) as caught:
        ask(json.dumps({"ok": False, "error": "a\x1b[31mb\nc"}) + "\n", TIME)
    assert str(caught.value) == "board: a [31mb c"


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("", "time.sleep(600)"),
        ("half an answer", "time.sleep(600)"),
        ("", "os.kill(os.getpid(), signal.SIGSTOP)"),
        # A child that holds stdout open after it.
        ("", "os.fork() or time.sleep(600)\ntime.sleep(600)"),
    ],
    ids=["silent", "half", "stopped", "forked"],
)
def test_a_worker_that_does_not_answer_is_ended(line, after):
    begin = time.monotonic()
    with pytest.raises(DeviceError, match=r"board: the worker must answer 'time' within 0.5 s, and was ended"):
        ask(line, TIME, seconds=0.5, after=after)
    assert time.monotonic() - begin < 30


def test_a_worker_that_does_not_read_is_ended():
    worker = WorkerProcess([sys.executable, "-S", "-c", "import time; time.sleep(600)"], name="board")
    with pytest.raises(DeviceError, match=r"board: the worker must answer 'run' within 0.5 s"):
        worker.ask({"op": "run", "input": "x" * 10_000_000}, seconds=0.5)
    worker.close()


def test_a_model_that_never_ends_is_ended(tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    monkeypatch.setattr(worker_process, "ANSWER_SECONDS", 1.0)
    helper, kind = onnx.helper, onnx.TensorProto
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["x", "x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("i", kind.INT64, ()),
            helper.make_tensor_value_info("go", kind.BOOL, ()),
            helper.make_tensor_value_info("x", kind.FLOAT, (1,)),
        ],
        [helper.make_tensor_value_info("on", kind.BOOL, ()), helper.make_tensor_value_info("y", kind.FLOAT, (1,))],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["times", "", "input"], ["output"], body=body)],
        "endless",
        [helper.make_tensor_value_info("input", kind.FLOAT, (1,))],
        [helper.make_tensor_value_info("output", kind.FLOAT, (1,))],
        [helper.make_tensor("times", kind.INT64, (), [2**62])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "endless.onnx")
    workload = Workload(name="endless", file=ModelFile(path=tmp_path / "endless.onnx"))
    with pytest.raises(DeviceError, match="host: the worker must answer 'open' within 2 s, and was ended"):
        OnnxRuntimeProfiler(None).open([workload], MeasurementPlan(max_seconds=2))


def test_an_output_of_another_size_than_its_shape_is_told(monkeypatch):
    session = TfliteProfiler(None).open([Workload.of_block(light_block())], MeasurementPlan())
    answer = {"ok": True, "output": "", "shape": [1, 2]}
    monkeypatch.setattr(session._worker, "ask", lambda request, seconds: answer)
    with pytest.raises(DeviceError, match=r"host: an output of shape \[1, 2\] must have as many values; came 0"):
        session.run(0, np.zeros((1, 8, 4, 4), np.float32))
    monkeypatch.undo()
    session.close()


BUSY_WORKER = """
import sys, time
from profilers.worker import serve

class Endless:
    mark = ""
    def invoke(self):
        time.sleep(600)

serve({"endless": lambda path, request: Endless()})
"""
PARENT = """
import sys
from profilers.worker_process import WorkerProcess

worker = WorkerProcess([sys.executable, sys.argv[1]], name="board")
worker.ask({"op": "open", "runtime": "endless", "models": ["x"], "shapes": [None], "cores": [], "num_threads": 1,
            "options": {}})
print(worker._process.pid, flush=True)
try:
    worker.ask({"op": "time", "order": [0], "repeats": [1]})
finally:
    worker.close()
"""


@pytest.mark.parametrize(
    "signals", [[signal.SIGINT], [signal.SIGINT] * 3, [signal.SIGKILL]], ids=["^C", "^C^C^C", "kill"]
)
def test_a_worker_ends_with_the_process_that_asked(tmp_path, signals):
    (tmp_path / "worker.py").write_text(BUSY_WORKER)
    (tmp_path / "parent.py").write_text(PARENT)
    words = [sys.executable, str(tmp_path / "parent.py"), str(tmp_path / "worker.py")]
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        worker = psutil.Process(int(parent.stdout.readline()))
        time.sleep(0.3)
        for number in signals:
            parent.send_signal(number)
            time.sleep(0.05)
        assert parent.wait(timeout=30) != 0
        psutil.wait_procs([worker], timeout=30)
        assert not worker.is_running()
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


class InstantSession:
    """Times so short that a tenth of a millisecond would take 100,000 of them."""

    def __init__(self):
        self.most_repeats = 0

    def time(self, order, repeats):
        self.most_repeats = max(self.most_repeats, *repeats)
        return Times(ms=(1e-9,) * len(order), is_disturbed=(False,) * len(order))


def test_times_of_nearly_nothing_are_repeated_a_thousand_times_at_most():
    session, record, now = InstantSession(), ProcessRecord(1, tolerance=0.05), time.monotonic()
    plan = MeasurementPlan(min_runs=3)
    rng = np.random.default_rng(0)
    time_rounds(
        session, record, plan, begun=now, deadline=now + 1, rng=rng, keep=record.add, tell=lambda fraction: None
    )
    assert session.most_repeats == 1000


@pytest.mark.parametrize("number", ["1e999", "1.2.3", "-5", "-"])
def test_a_phone_that_tells_no_number_is_told(number):
    with pytest.raises(DeviceError, match="benchmark_model must tell its timings"):
        parse_benchmark(f"count=10 curr=5\nInference (avg): {number}\n")
