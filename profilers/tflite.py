"""TFLite, through ai-edge-litert or the older tflite-runtime: the same code on the same files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ofa_hw.blocks import BlockSpec
from ofa_hw.errors import DeviceError, InvalidInputError
from ofa_hw.families.registry import CLASSIFIER
from ofa_hw.formats.tflite_int8 import write_tflite_int8
from ofa_hw.formats.tflite_model import write_tflite
from ofa_hw.profiling.device import Device
from ofa_hw.profiling.measurement import MeasurementPlan, Workload, random_input
from ofa_hw.profiling.output_check import torch_on_one_thread
from ofa_hw.profiling.protocol import Profiler
from profilers.model_files import ModelFileProfiler
from profilers.tflite_adb import AdbTfliteProfiler


class TfliteProfiler(ModelFileProfiler):
    """TFLite models in ai-edge-litert, XNNPACK taking the whole graph."""

    runtime = "tflite"
    package = "ai_edge_litert"
    distribution = "ai-edge-litert"
    extra = "tflite"
    use_delegate = True
    method = "wall clock around interpreter.invoke()"
    suffix = ".tflite"
    model_suffixes: tuple[str, ...] = (".tflite",)
    is_nhwc = True
    worker_runtime = "tflite"

    def write(self, workload: Workload, plan: MeasurementPlan) -> bytes:
        """Return the .tflite file of `workload`, float32 or int8."""
        if plan.dtype == "float32":
            return write_tflite(workload.folded(), batch_size=plan.batch_size)
        if plan.dtype == "int8":
            from ofa_hw.nn.folded_reference import value_ranges

            # Latency does not depend on the ranges, but the check of the outputs does.
            blocks = workload.folded()
            with torch_on_one_thread():
                ranges = value_ranges(blocks, random_input(blocks[0].spec))
            return write_tflite_int8(blocks, ranges, batch_size=plan.batch_size)
        raise InvalidInputError(f"dtype must be float32 or int8 for {self.runtime}; came {plan.dtype!r}")

    def options(self, workloads: Sequence[Workload], plan: MeasurementPlan) -> dict[str, Any]:
        """Return the package and whether XNNPACK is on."""
        return {"package": self.package, "use_delegate": self.use_delegate}


class TfliteBuiltinProfiler(TfliteProfiler):
    """TFLite models by ai-edge-litert's own kernels, XNNPACK off."""

    runtime = "tflite-builtin"
    use_delegate = False


class TfliteRuntimeProfiler(TfliteProfiler):
    """TFLite models in tflite-runtime, the predecessor of ai-edge-litert."""

    runtime = "tflite-runtime"
    package = "tflite_runtime"
    distribution = "tflite-runtime"
    extra = "tflite-runtime"

    def check(self) -> None:
        """Check that an interpreter can be built, by building one: with numpy 2 it kills its process."""
        super().check()
        try:
            self.open([Workload.of_block(_TINY)], MeasurementPlan()).close()
        except DeviceError as error:
            versions = self._machine["versions"]
            if int(versions["numpy"].split(".")[0]) < 2:
                raise
            raise DeviceError(
                f"{self.device.name}: tflite-runtime {versions[self.distribution]} needs numpy below 2 and dies beside "
                f"numpy {versions['numpy']}; install `numpy<2`, or use the runtime tflite"
            ) from error


_TINY = BlockSpec(
    kind=CLASSIFIER,
    input_size=1,
    in_channels=8,
    mid_channels=0,
    out_channels=8,
    kernel_size=1,
    stride=1,
    activation="none",
    use_se=False,
    has_skip=False,
)


def make_profiler(device: Device | None = None) -> Profiler:
    """Return what times TFLite with XNNPACK: on a phone by benchmark_model, elsewhere by ai-edge-litert."""
    return _on_phone(TfliteProfiler(), device) or TfliteProfiler(device)


def make_builtin_profiler(device: Device | None = None) -> Profiler:
    """Return what times TFLite without XNNPACK, likewise."""
    return _on_phone(TfliteBuiltinProfiler(), device) or TfliteBuiltinProfiler(device)


def _on_phone(local: TfliteProfiler, device: Device | None) -> AdbTfliteProfiler | None:
    if device is None:
        return None
    device.require_transport((*local.transports, *AdbTfliteProfiler.transports))
    if device.transport not in AdbTfliteProfiler.transports:
        return None
    return AdbTfliteProfiler(
        device,
        runtime=local.runtime,
        use_delegate=local.use_delegate,
        write=local.write,
        # Outputs are checked on this machine, which need not have the phone's cores.
        open_locally=lambda workloads, plan: local.open(
            workloads, dataclasses.replace(plan, cpu_mask=None, num_threads=1)
        ),
    )
