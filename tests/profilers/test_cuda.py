import dataclasses
import os

import numpy as np
import pytest
import torch

from ofa_hw.blocks import unique_block_specs
from ofa_hw.errors import DeviceError, InvalidInputError
from ofa_hw.profiling import MeasurementPlan, Workload, measure
from ofa_hw.space import get_space
from ofa_hw.testing import ProfilerContract, heavy_block, light_block
from profilers.cuda import CudaProfiler

LAUNCH_MS = 0.01
"""What the CPU of the pretended GPU takes to launch one layer, or a whole graph."""


class PretendedEvent:
    def __init__(self, cuda):
        self.cuda = cuda

    def record(self):
        self.ms = self.cuda.gpu_ms

    def elapsed_time(self, end):
        return end.ms - self.ms


class PretendedCuda:
    """A GPU whose time line is counted: each layer computes for a time that follows from its work."""

    name = "cpu"

    def __init__(self, *, gmacs_per_ms=0.02):
        self.gpu_ms = self.cpu_ms = 0.0
        self.gmacs_per_ms = gmacs_per_ms
        self.is_captured = False
        hook = self.launch
        torch.nn.modules.module.register_module_forward_hook(hook)

    def event(self):
        return PretendedEvent(self)

    def synchronize(self):
        self.cpu_ms = self.gpu_ms = max(self.cpu_ms, self.gpu_ms)

    def launch(self, module, inputs, output):
        if isinstance(module, torch.nn.Conv2d):
            macs = output.numel() * module.weight[0].numel()
            if not self.is_captured:
                self.cpu_ms += LAUNCH_MS
                self.gpu_ms = max(self.gpu_ms, self.cpu_ms)
            self.gpu_ms += macs / 1e9 / self.gmacs_per_ms

    def capture(self, call):
        output = call().clone()

        def replay():
            self.cpu_ms += LAUNCH_MS
            self.gpu_ms = max(self.gpu_ms, self.cpu_ms)
            self.is_captured = True
            output.copy_(call())
            self.is_captured = False

        return replay, output


@pytest.fixture
def cuda():
    hooks = torch.nn.modules.module._global_forward_hooks
    before = dict(hooks)
    yield PretendedCuda()
    hooks.clear()
    hooks.update(before)


class TestCudaProfilerWithoutGpu(ProfilerContract):
    spaces = ("fashion",)

    @pytest.fixture(autouse=True)
    def pretend(self, cuda):
        self.cuda = cuda

    def make_profiler(self):
        return CudaProfiler(cuda=self.cuda)


class TestCudaProfilerWithBfloat16(TestCudaProfilerWithoutGpu):
    plan = dataclasses.replace(ProfilerContract.plan, dtype="bfloat16", batch_size=2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
class TestCudaProfiler(ProfilerContract):
    def make_profiler(self):
        return CudaProfiler()


def test_time_is_that_of_the_gpu_and_not_of_launching(cuda):
    session = CudaProfiler(cuda=cuda).open([Workload.of_block(heavy_block())], MeasurementPlan())
    spec = heavy_block()
    macs = spec.input_size**2 * spec.mid_channels * (2 * spec.in_channels + spec.kernel_size**2)
    macs += 2 * spec.mid_channels * (spec.mid_channels // 4)
    assert session.time([0], [1]).ms[0] == pytest.approx(macs / 1e9 / cuda.gmacs_per_ms, rel=0.1)
    session.close()


def test_launch_bound_blocks_are_marked(cuda):
    workloads = [Workload.of_block(light_block()), Workload.of_block(heavy_block())]
    session = CudaProfiler(cuda=cuda).open(workloads, MeasurementPlan())
    assert session.marks == ("launch-bound", "")
    session.close()
    run = measure(CudaProfiler(cuda=cuda), [light_block()], MeasurementPlan(max_seconds=1, min_runs=6))
    assert "launch-bound" in run.blocks[0].marks.split()


def test_clocks_of_the_gpu_are_recorded(cuda, tmp_path, monkeypatch):
    client = tmp_path / "nvidia-smi"
    client.write_text('#!/bin/sh\necho "Some GPU, 550.1, 1980 MHz, 9501 MHz, 41, 72.10 W"\n')
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    profiler = CudaProfiler(cuda=cuda)
    assert profiler.conditions(MeasurementPlan()).clocks == "1980 MHz"
    assert profiler.state()["gpu"] == "Some GPU"
    assert profiler.state()["temperature"] == "41"


def test_machine_without_gpu_is_told():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(DeviceError, match="host: torch sees no GPU here"):
        CudaProfiler().check()


def test_integers_are_refused(cuda):
    space = get_space("fashion")
    workload = Workload.of_block(unique_block_specs(space)[0])
    with pytest.raises(InvalidInputError, match="dtype must be one of float32, float16, bfloat16"):
        CudaProfiler(cuda=cuda).open([workload], MeasurementPlan(dtype="int8"))
    assert np.isfinite(cuda.gpu_ms)
