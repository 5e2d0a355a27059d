"""TFLite on an Android phone: models and the user's `benchmark_model` are pushed, run, and removed."""

from __future__ import annotations

import dataclasses
import re
import shutil
import struct
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import DeviceError
from ofa_hw.files import own_prefix, sha256_of
from ofa_hw.profiling.device import Device
from ofa_hw.profiling.measurement import MeasurementPlan, RunConditions, Workload, cores_of, mask_of
from ofa_hw.profiling.protocol import Session, Times
from profilers.adb import Phone
from profilers.benchmark_model import BenchmarkReport, parse_benchmark
from profilers.phone_load import LOOK, PhoneLoad, load_between

COOL_DOWN_POLL_SECONDS = 5.0
COOL_DOWN_SECONDS = 300.0
"""How long to wait at most, before each call, for a hot phone to cool down."""
_HOT = 2
"""Android's thermal status from which clocks are lowered: moderate."""
_MIN_RUNS = 10
"""The least for a sample: starting benchmark_model takes longer than these runs."""
_MODELS_AT_ONCE = 50
"""How many models are run before the phone's temperature is checked again."""
_CALL_SECONDS = 600
_MACHINES = {"arm64-v8a": 183, "armeabi-v7a": 40, "x86_64": 62, "x86": 3}
"""The machine number in an ELF header for each ABI of Android."""

# Reads lines "model runs" from `order`; its arguments are benchmark_model and its options for all models. Before and
# after the models it reads how busy the phone is.
_SCRIPT = f"""#!/bin/sh
cd "$(dirname "$0")" || exit 1
{{ {LOOK}; }} 2>/dev/null
while read -r model runs; do
  echo "=== $model"
  "$@" --graph="$model" --num_runs="$runs" 2>&1 </dev/null || exit $?
done <order
echo "=== "
{{ {LOOK}; }} 2>/dev/null
exit 0
""".encode()


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdbOptions:
    """The options of a phone: its `serial`, if several are attached, and the path of a `benchmark_model` for it."""

    serial: str = ""
    benchmark_model: str = ""


class AdbTfliteProfiler:
    """TFLite models in `benchmark_model` on a phone; the outputs of the same files are checked on this machine."""

    option_types: tuple[type, ...] = (AdbOptions,)
    transports: tuple[str, ...] = ("adb",)

    model_suffixes: tuple[str, ...] = (".tflite",)
    method = "benchmark_model, a process for each sample: the median of its runs where it tells one, else their mean"

    def __init__(
        self,
        device: Device,
        *,
        runtime: str,
        use_delegate: bool,
        write: Callable[[Workload, MeasurementPlan], bytes],
        open_locally: Callable[[Sequence[Workload], MeasurementPlan], Session],
    ) -> None:
        """Time on `device`.

        `write` makes the model file of a workload; `open_locally` opens the same workloads on this machine.
        """
        self.device = device
        self.runtime = runtime
        self._use_delegate = use_delegate
        self._write = write
        self._open_locally = open_locally
        device.check_options(*self.option_types)
        self._options = device.read(AdbOptions)
        self._phone = Phone(device.name, self._options.serial)

    def check(self) -> None:
        """Check that the phone answers and that the benchmark_model is for its processor."""
        self._phone.check()
        self._check_benchmark()

    def conditions(self, plan: MeasurementPlan) -> RunConditions:
        """Return the conditions of `plan` on the phone."""
        state = self.state()
        return RunConditions(
            device=self.device.name,
            runtime=self.runtime,
            runtime_version=f"benchmark_model {sha256_of(self._benchmark())[:12]}",
            dtype=plan.dtype,
            batch_size=plan.batch_size,
            num_threads=plan.num_threads,
            cpu_mask=self._mask(plan),
            governor=state["governor"],
            clocks=state["clocks"],
        )

    def state(self) -> Mapping[str, str]:
        """Return what the phone reports: model, Android's version, governor, clocks, thermal status, battery, load."""
        phone = self._phone
        cores = cores_of(self.device.cpu_mask) if self.device.cpu_mask else (0,)
        folder = f"/sys/devices/system/cpu/cpu{cores[-1]}/cpufreq"
        clock_khz = phone.tell(["cat", f"{folder}/scaling_cur_freq"])
        state = {
            "host": phone.tell(["getprop", "ro.product.model"]) or "unknown",
            "system": f"Android {phone.tell(['getprop', 'ro.build.version.release']) or 'unknown'}",
            "governor": phone.tell(["cat", f"{folder}/scaling_governor"]) or "unknown",
            "clocks": f"{int(clock_khz) // 1000} MHz" if clock_khz.isdigit() else "unknown",
        }
        status = self.thermal_status()
        if status is not None:
            state["temperature"] = f"thermal status {status}"
        answer = phone.tell(["dumpsys", "battery"])
        battery = dict(re.findall(r"^\s*(level|temperature|status): (\S+)", answer, re.MULTILINE))
        if battery:
            tenths = battery.get("temperature", "")
            degrees = f", {int(tenths) / 10:.1f} C" if tenths.lstrip("-").isdigit() else ""
            state["battery"] = f"{battery.get('level', '?')} %, status {battery.get('status', '?')}{degrees}"
        load = phone.tell(["cat", "/proc/loadavg"]).split()
        if load:
            state["load"] = load[0]
        return {key: " ".join(text.split()) for key, text in state.items()}

    def capacity_bytes(self) -> float:
        """Return how many bytes of weights are pushed at once; each model is opened by a process of its own."""
        return 1e9

    def thermal_status(self) -> int | None:
        """Return Android's thermal status, 0 (none) to 6 (shutdown); None where the phone does not report it."""
        found = re.search(r"Thermal Status: (\d)", self._phone.tell(["dumpsys", "thermalservice"]))
        return int(found[1]) if found else None

    def cool_down(self) -> None:
        """Wait until the phone is no longer hot; DeviceError where it stays so."""
        deadline = time.monotonic() + COOL_DOWN_SECONDS
        while (self.thermal_status() or 0) >= _HOT:
            if time.monotonic() > deadline:
                raise DeviceError(
                    f"{self.device.name}: the phone stays hot; let it cool down, then go on with --resume"
                )
            time.sleep(COOL_DOWN_POLL_SECONDS)

    def open(self, workloads: Sequence[Workload], plan: MeasurementPlan) -> Session:
        """Push the models of `workloads` into a new folder on the phone."""
        self.check()
        folder = self._phone.make_folder()
        try:
            with tempfile.TemporaryDirectory(prefix=own_prefix()) as local:
                self._collect(Path(local), workloads, plan)
                self._phone.push(sorted(Path(local).iterdir()), folder)
        except BaseException:
            self._phone.remove_folder(folder)
            raise
        return AdbSession(self, self._phone, folder, self._command(folder, plan), workloads, plan, self._open_locally)

    def _collect(self, local: Path, workloads: Sequence[Workload], plan: MeasurementPlan) -> None:
        shutil.copy(self._benchmark(), local / "benchmark_model")
        (local / "benchmark_model").chmod(0o755)
        (local / "run.sh").write_bytes(_SCRIPT)
        for index, workload in enumerate(workloads):
            if workload.file and workload.file.shapes:
                raise DeviceError(
                    f"{self.device.name}: benchmark_model takes the shapes that a model tells; leave out those of "
                    f"{workload.name}"
                )
            content = workload.file.path.read_bytes() if workload.file else self._write(workload, plan)
            (local / f"{index}.tflite").write_bytes(content)

    def _command(self, folder: str, plan: MeasurementPlan) -> list[str]:
        # By default benchmark_model runs small models for a second each; only the number of runs shall count.
        return [
            "sh",
            f"{folder}/run.sh",
            *("taskset", self._mask(plan).removeprefix("0x")),
            "./benchmark_model",
            f"--num_threads={plan.num_threads}",
            f"--use_xnnpack={'true' if self._use_delegate else 'false'}",
            *("--warmup_runs=1", "--warmup_min_secs=0", "--min_secs=0"),
        ]

    def _mask(self, plan: MeasurementPlan) -> str:
        if plan.cpu_mask is not None:
            return mask_of(cores_of(plan.cpu_mask))
        count = self._phone.tell(["nproc"])
        return mask_of(tuple(range(int(count) if count.isdigit() else 1)))

    def _benchmark(self) -> Path:
        path = Path(self._options.benchmark_model)
        if not self._options.benchmark_model or not path.is_file():
            raise DeviceError(
                f"{self.device.name}: benchmark_model must be the path of TFLite's benchmark_model for the phone's "
                f"ABI; came {self._options.benchmark_model!r}: set it in ofa-hw.toml"
            )
        return path

    def _check_benchmark(self) -> None:
        with self._benchmark().open("rb") as file:
            header = file.read(20)
        abi = self._phone.tell(["getprop", "ro.product.cpu.abi"])
        if header[:4] != b"\x7fELF" or abi not in _MACHINES:
            return
        # e_machine of the ELF header.
        (machine,) = struct.unpack_from("<H", header, 18)
        if machine != _MACHINES[abi]:
            raise DeviceError(
                f"{self.device.name}: {self._options.benchmark_model} must be built for {abi}, machine "
                f"{_MACHINES[abi]} in its ELF header; it is for machine {machine}"
            )


class AdbSession:
    """A folder on the phone with models in it."""

    def __init__(
        self,
        profiler: AdbTfliteProfiler,
        phone: Phone,
        folder: str,
        command: list[str],
        workloads: Sequence[Workload],
        plan: MeasurementPlan,
        open_locally: Callable[[Sequence[Workload], MeasurementPlan], Session],
    ) -> None:
        """Run `command` in `folder` for every call of `time`."""
        self._profiler, self._phone, self._folder, self._command = profiler, phone, folder, command
        self._workloads, self._plan, self._open_locally = workloads, plan, open_locally
        self._use_delegate = "--use_xnnpack=true" in command
        self._local: Session | None = None
        self.marks = ("",) * len(workloads)

    def run(self, index: int, x_BCHW: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        """Return the output of the same file on this machine, since benchmark_model prints none."""
        if self._local is None:
            self._local = self._open_locally(self._workloads, self._plan)
        return self._local.run(index, x_BCHW)

    def time(self, order: Sequence[int], repeats: Sequence[int]) -> Times:
        """Return what benchmark_model reports for each model of `order`, letting the phone cool down in between."""
        ms: list[float] = []
        loads: list[PhoneLoad] = []
        for start in range(0, len(order), _MODELS_AT_ONCE):
            stop = start + _MODELS_AT_ONCE
            self._profiler.cool_down()
            some_ms, load = self._time_some(order[start:stop], repeats[start:stop])
            ms += some_ms
            loads += [load] if load else []
        seconds = sum(load.seconds for load in loads)
        return Times(
            ms=tuple(ms),
            # benchmark_model does not say whether it lost its core.
            is_disturbed=(False,) * len(ms),
            others_load=sum(load.others_seconds for load in loads) / seconds if loads else 0.0,
            num_cores=max((load.num_cores for load in loads), default=1),
        )

    def _time_some(self, order: Sequence[int], repeats: Sequence[int]) -> tuple[list[float], PhoneLoad | None]:
        lines = [f"{index}.tflite {max(count, _MIN_RUNS)}\n" for index, count in zip(order, repeats, strict=True)]
        with tempfile.NamedTemporaryFile("w", suffix=".order") as file:
            file.writelines(lines)
            file.flush()
            self._phone.push([Path(file.name)], f"{self._folder}/order")
        before, *parts = self._phone.shell(self._command, seconds=_CALL_SECONDS).split("=== ")
        after = parts.pop() if parts else ""
        if len(parts) != len(order):
            raise DeviceError(
                f"{self._profiler.device.name}: benchmark_model was to run {len(order)} models; it ran {len(parts)}"
            )
        ms = [self._parse(index, part).typical_ms for index, part in zip(order, parts, strict=True)]
        return ms, load_between(before, after)

    def close(self) -> None:
        """Remove the folder."""
        if self._local is not None:
            self._local.close()
        self._phone.remove_folder(self._folder)

    def _parse(self, index: int, text: str) -> BenchmarkReport:
        name = self._workloads[index].name
        try:
            report = parse_benchmark(text)
        except DeviceError as error:
            raise DeviceError(f"{self._profiler.device.name} cannot run {name}: {error}") from error
        if self._use_delegate and report.delegation == "partial" and self._workloads[index].specs:
            raise DeviceError(
                f"{self._profiler.device.name}: XNNPACK must take the whole graph of {name}; it took a part of it"
            )
        return report
