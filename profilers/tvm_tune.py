"""MetaSchedule, opt-in: each distinct function is tuned once, into a database that all blocks and runs share."""

from __future__ import annotations

import importlib.util
import logging
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ofa_hw.files import own_prefix
from profilers.tvm_build import import_tvm

_log = logging.getLogger(__name__)

_NUM_TRIALS = 16
_INTRINSICS = "tvm.s_tir.tensor_intrin"


class Tuner:
    """A database of schedules in a folder, and how candidates are run.

    `run` takes the path of a library with one function and a list of shapes, and returns seconds.
    """

    def __init__(self, folder: Path, target: Any, run: Callable[[Path, list[tuple[int, ...]]], list[float]]) -> None:
        """Open the database in `folder`, which is made where it is missing."""
        _skip_intrinsics_of_gpus()
        from tvm.s_tir import meta_schedule

        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._target = target
        self._run = run
        self._database = meta_schedule.database.JSONDatabase(work_dir=str(folder))

    def apply(self, module: Any) -> Any:
        """Return `module` with the best known schedule of each function; those not known are tuned first."""
        tvm = import_tvm()
        for function in module.functions.values():
            if isinstance(function, tvm.tirx.PrimFunc):
                self._tune(tvm.IRModule({"main": function.with_attr("global_symbol", "main")}))
        with self._target, self._database:
            return tvm.relax.transform.MetaScheduleApplyDatabase()(module)

    def _tune(self, module: Any) -> None:
        from tvm.s_tir import meta_schedule

        if self._database.has_workload(module):
            known = self._database.commit_workload(module)
            if self._database.get_top_k(known, 1):
                return
        context = meta_schedule.TuneContext(
            mod=module,
            target=self._target,
            space_generator="post-order-apply",
            search_strategy="replay-trace",
            task_name="main",
            rand_state=1,
            num_threads=1,
        )
        failures: list[str] = []
        with tempfile.TemporaryDirectory(prefix=own_prefix()) as folder:
            meta_schedule.tune.tune_tasks(
                tasks=[context.clone()],
                task_weights=[1.0],
                work_dir=str(self._folder),
                max_trials_global=_NUM_TRIALS,
                num_trials_per_iter=_NUM_TRIALS,
                builder=make_builder(Path(folder), failures),
                runner=make_runner(self._run, failures),
                database=self._database,
                cost_model="random",
            )
        if len(failures) >= _NUM_TRIALS:
            _log.warning(
                "no candidate of a function ran, so it is scheduled by hand; the last failed by: %s", failures[-1]
            )


def make_builder(folder: Path, failures: list[str]) -> Any:
    """Return a builder in this process, which notes `failures`; MetaSchedule's own imports TVM each time."""
    tvm = import_tvm()
    from tvm.ir.utils import derived_object
    from tvm.s_tir import meta_schedule

    @derived_object
    class Builder(meta_schedule.builder.PyBuilder):  # type: ignore[misc]
        def build(self, inputs: list[Any]) -> list[Any]:
            return [self._build(one) for one in inputs]

        def _build(self, one: Any) -> Any:
            # MetaSchedule removes the whole folder of a candidate once it was run.
            path = Path(tempfile.mkdtemp(dir=folder)) / "main.so"
            try:
                tvm.tirx.build(one.mod, target=one.target).export_library(str(path))
            except Exception as error:  # noqa: BLE001 - a candidate that cannot be built is one that is not chosen
                failures.append(" ".join(str(error).split())[-200:])
                return meta_schedule.builder.BuilderResult(None, failures[-1])
            return meta_schedule.builder.BuilderResult(str(path), None)

    return Builder()


def make_runner(run: Callable[[Path, list[tuple[int, ...]]], list[float]], failures: list[str]) -> Any:
    """Return a runner that times candidates by `run`, one after the other, and notes `failures`."""
    from tvm.ir.utils import derived_object
    from tvm.s_tir import meta_schedule

    @derived_object
    class Done(meta_schedule.runner.PyRunnerFuture):  # type: ignore[misc]
        def __init__(self, result: Any) -> None:
            super().__init__()
            self._result = result

        def done(self) -> bool:
            return True

        def result(self) -> Any:
            return self._result

    @derived_object
    class Runner(meta_schedule.runner.PyRunner):  # type: ignore[misc]
        def run(self, inputs: list[Any]) -> list[Any]:
            return [Done(self._run(one)) for one in inputs]

        def _run(self, one: Any) -> Any:
            shapes = [tuple(int(size) for size in argument.shape) for argument in one.args_info]
            try:
                seconds = run(Path(str(one.artifact_path)), shapes)
            except Exception as error:  # noqa: BLE001 - nor is one that cannot be run
                failures.append(" ".join(str(error).split())[-200:])
                return meta_schedule.runner.RunnerResult(None, failures[-1])
            return meta_schedule.runner.RunnerResult(seconds, None)

    return Runner()


def run_here(path: Path, shapes: list[tuple[int, ...]]) -> list[float]:
    """Return the seconds that the library's function takes on this machine: three means of three executions each."""
    return run_on(import_tvm().cpu(), import_tvm().runtime.load_module(str(path)), shapes)


def run_on(device: Any, library: Any, shapes: list[tuple[int, ...]]) -> list[float]:
    """Return the seconds that the function `main` of a loaded library takes on `device`, as `run_here`."""
    tvm = import_tvm()
    arguments = [tvm.runtime.empty(shape, "float32", device) for shape in shapes]
    evaluate = library.time_evaluator("main", device, number=3, repeat=3)
    return list(evaluate(*arguments).results)


def _skip_intrinsics_of_gpus() -> None:
    """Keep MetaSchedule from importing the intrinsics of processors that we do not tune for; they take 30 seconds."""
    for name in ("cuda", "rocm", "hexagon", "metal", "riscv_cpu"):
        full = f"{_INTRINSICS}.{name}"
        if full not in sys.modules and importlib.util.find_spec(_INTRINSICS) is not None:
            sys.modules[full] = types.ModuleType(full)
