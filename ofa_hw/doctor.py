"""What is installed here, which devices answer, how quiet the machine is, and what to do about it."""

from __future__ import annotations

import dataclasses
import gc
import importlib.metadata
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

import psutil

from ofa_hw import __version__
from ofa_hw.errors import OfaHwError, how_to_install
from ofa_hw.plugins import ask_device, list_devices

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "": ("torch", "numpy", "scipy", "pandas", "scikit-learn", "safetensors", "skops", "moocore"),
    "tflite": ("ai-edge-litert",),
    "onnx": ("onnx", "onnxruntime"),
    "report": ("altair", "vl-convert-python"),
}
"""Packages that are looked for, by the extra that brings them; those of the core under ""."""

NOISE_LIMIT = 0.05
"""If the median time of a fixed piece of work is more than this fraction above its least time, the core is shared."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Package:
    """A package, its version (None: not installed) and the extra that brings it ("": the core)."""

    name: str
    version: str | None
    extra: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceAnswer:
    """A device, whether it answers, what it says of itself, and why it does not answer."""

    name: str
    runtime: str
    num_threads: int
    answers: bool
    state: Mapping[str, str]
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All that `ofa-hw doctor` found; `advice` says what to do, a sentence each, () where all is well."""

    tool_version: str
    python: str
    system: str
    num_cores: int
    memory_free_gb: float
    load: float
    clock_noise: float
    packages: tuple[Package, ...]
    devices: tuple[DeviceAnswer, ...]
    advice: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as plain values."""
        devices = [{**vars(device), "state": dict(device.state)} for device in self.devices]
        return {**vars(self), "packages": [vars(package) for package in self.packages], "devices": devices}


def examine(*, noise_seconds: float = 0.5) -> Diagnosis:
    """Return what can be found without changing anything; the noise of the clock takes `noise_seconds`."""
    packages = tuple(
        Package(name=name, version=_version_of(name), extra=extra) for extra, names in EXTRAS.items() for name in names
    )
    found = Diagnosis(
        tool_version=__version__,
        python=platform.python_version(),
        system=platform.platform(),
        num_cores=os.cpu_count() or 1,
        memory_free_gb=psutil.virtual_memory().available / 1e9,
        load=psutil.getloadavg()[0],
        clock_noise=clock_noise(noise_seconds),
        packages=packages,
        devices=tuple(_ask_devices()),
        advice=(),
    )
    return dataclasses.replace(found, advice=tuple(_advice(found)))


def clock_noise(seconds: float) -> float:
    """Return by how much the median of a fixed piece of work lies above its least time, as a fraction.

    The work runs on one core, the last that this process may use.
    """
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    was_collecting = gc.isenabled()
    # A collection would count as noise.
    gc.disable()
    try:
        if cores:
            # Moving between cores would count as noise; core 0, which serves most interrupts, is avoided.
            os.sched_setaffinity(0, {max(cores)})
        times = _time_work(seconds)
    finally:
        if cores:
            os.sched_setaffinity(0, cores)
        if was_collecting:
            gc.enable()
    return statistics.median(times) / min(times) - 1


def _time_work(seconds: float) -> list[int]:
    times: list[int] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 20:
        begin = time.perf_counter_ns()
        sum(range(20_000))
        times.append(time.perf_counter_ns() - begin)
    return times


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _ask_devices() -> Iterable[DeviceAnswer]:
    for device in list_devices().values():
        state: Mapping[str, str] = {}
        reason = ""
        try:
            state = ask_device(device)
        except OfaHwError as error:
            reason = " ".join(str(error).split())
        yield DeviceAnswer(
            name=device.name,
            runtime=device.runtime,
            num_threads=device.num_threads,
            answers=not reason,
            state=state,
            reason=reason,
        )


def _advice(found: Diagnosis) -> Iterable[str]:
    missing = sorted({package.extra for package in found.packages if package.version is None})
    if missing:
        yield f"Some packages are missing: {how_to_install(*filter(None, missing))}"
    if found.clock_noise > NOISE_LIMIT:
        noise, limit = 100 * found.clock_noise, 100 * NOISE_LIMIT
        yield (
            f"The clock is noisy ({noise:.0f} % above its least, {limit:.0f} % is quiet). Close other programs before "
            "you measure: noisy rounds are measured again, which takes longer."
        )
    if found.load > 0.5 * found.num_cores:
        yield f"Other work keeps {found.load:.1f} of {found.num_cores} cores busy: latencies measured now will be high."
    for device in found.devices:
        if device.state.get("governor") in ("powersave", "ondemand", "schedutil", "conservative"):
            yield (
                f"{device.name}: the clock governor is {device.state['governor']}, so clocks change while it measures: "
                "set it to performance, e.g. `cpupower frequency-set -g performance`."
            )
    if found.memory_free_gb < 2:
        yield f"Only {found.memory_free_gb:.1f} GB of memory are free; `ofa-hw demo` wants 2 GB."
    if sys.version_info >= (3, 14):
        yield "Python 3.14 and later were not tried; 3.11 to 3.13 were."
