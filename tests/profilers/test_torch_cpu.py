import pytest

from ofa_hw.blocks import block_specs
from ofa_hw.errors import InvalidInputError
from ofa_hw.formats.folded import random_block
from ofa_hw.formats.npz import read_npz, write_npz
from ofa_hw.profiling import Device, MeasurementPlan, Workload
from ofa_hw.profiling.output_check import check_outputs
from ofa_hw.space import get_space
from ofa_hw.testing import ProfilerContract, one_of_each_form
from profilers.torch_cpu import TorchCpuProfiler


class TestTorchCpuProfiler(ProfilerContract):
    spaces = ("fashion",)

    def make_profiler(self):
        return TorchCpuProfiler()


def test_bfloat16_is_near_torch_in_float32():
    plan = MeasurementPlan(dtype="bfloat16")
    workloads = [Workload.of_block(spec) for spec in one_of_each_form("ofa-mobilenetv3-w1.0")]
    session = TorchCpuProfiler().open(workloads, plan)
    check_outputs(session, workloads, plan, device="host")
    session.close()


def test_other_transports_are_refused():
    with pytest.raises(InvalidInputError, match="torch is reached by local; came transport 'ssh'"):
        TorchCpuProfiler(Device(name="board", runtime="torch", transport="ssh", options={"host": "board"}))


def test_folded_blocks_are_read_back_as_written(tmp_path):
    space = get_space("ofa-mobilenetv3-w1.0")
    blocks = [random_block(spec) for spec in block_specs(space, space.smallest)]
    path = tmp_path / "blocks.npz"
    path.write_bytes(write_npz(blocks))
    for one, other in zip(blocks, read_npz(path), strict=True):
        assert one.spec == other.spec
        assert all((one.weights[name] == other.weights[name]).all() for name in one.weights)


def test_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "blocks.npz").write_bytes(b"no archive")
    with pytest.raises(InvalidInputError, match="must be a file of folded blocks"):
        read_npz(tmp_path / "blocks.npz")
