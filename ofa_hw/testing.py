"""The tests that authors inherit: `ProfilerContract` for a profiler, `FamilyContract` for a family of blocks.

    class TestMyProfiler(ProfilerContract):
        def make_profiler(self):
            return MyProfiler(Device(name="mine", runtime="mine"))

    class TestMyFamily(FamilyContract):
        def make_space(self):
            return get_space("my-space.toml")

pytest then runs every test of the contract against it; skip in `make_profiler` where the hardware is missing.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import TYPE_CHECKING

import numpy as np

from ofa_hw.blocks import BlockSpec, block_macs, block_specs, num_macs, num_params, unique_block_specs
from ofa_hw.families.registry import STAGE
from ofa_hw.profiling.engine import measure
from ofa_hw.profiling.measurement import MeasurementPlan, Workload
from ofa_hw.profiling.output_check import check_outputs
from ofa_hw.profiling.protocol import Profiler
from ofa_hw.space import SearchSpace, get_space, list_spaces

if TYPE_CHECKING:
    from torch import Tensor

    from ofa_hw.nn import Supernet
    from ofa_hw.space import ArchConfig


def light_block() -> BlockSpec:
    """Return one of the cheapest blocks there are."""
    return dataclasses.replace(heavy_block(), input_size=4, in_channels=8, mid_channels=8, out_channels=8)


def heavy_block() -> BlockSpec:
    """Return a block of about a thousand times the work of `light_block`."""
    return BlockSpec(
        kind=STAGE,
        input_size=28,
        in_channels=40,
        mid_channels=160,
        out_channels=40,
        kernel_size=5,
        stride=1,
        activation="h_swish",
        use_se=True,
        has_skip=True,
    )


def one_of_each_form(space_name: str) -> tuple[BlockSpec, ...]:
    """Return the smallest block of a space for each family, kernel, stride, activation, gate and shortcut."""
    smallest: dict[BlockSpec, BlockSpec] = {}
    space = get_space(space_name)
    for spec in unique_block_specs(space, space.resolutions[:1]):
        form = dataclasses.replace(spec, input_size=0, in_channels=0, mid_channels=0, out_channels=0)
        known = smallest.get(form)
        if known is None or spec.input_size * spec.mid_channels < known.input_size * known.mid_channels:
            smallest[form] = spec
    return tuple(smallest.values())


def one_of_each_family() -> tuple[BlockSpec, ...]:
    """Return the smallest block of each family, stride and shortcut among the spaces that ship."""
    smallest: dict[tuple[str, int, bool], BlockSpec] = {}
    for name in list_spaces():
        for spec in one_of_each_form(name):
            form = spec.kind, spec.stride, spec.has_skip
            if form not in smallest or block_macs(spec) < block_macs(smallest[form]):
                smallest[form] = spec
    return tuple(smallest.values())


class ProfilerContract:
    """What holds for every profiler; `plan` and `spaces` may be narrowed where a runtime cannot do all."""

    plan = MeasurementPlan(max_seconds=4, min_runs=6, target_relative_ci=0.1)
    spaces: tuple[str, ...] = ("fashion", "ofa-mobilenetv3-w1.0", "ofa-proxyless-w1.3", "ofa-resnet50")
    """Whose blocks are tried in every form, and whose smallest network."""
    num_sessions: int = 2
    """How many sessions the device serves at once."""

    def make_profiler(self) -> Profiler:
        """Return the profiler under test; the author's part."""
        raise NotImplementedError

    def test_device_answers(self) -> None:
        """`check` returns where the device is there."""
        self.make_profiler().check()

    def test_conditions_are_those_of_the_plan(self) -> None:
        """Conditions repeat the plan and leave nothing empty."""
        profiler = self.make_profiler()
        conditions = profiler.conditions(self.plan)
        assert conditions.device == profiler.device.name
        assert (conditions.batch_size, conditions.dtype) == (self.plan.batch_size, self.plan.dtype)
        assert conditions.num_threads == self.plan.num_threads
        assert all(str(value) for value in dataclasses.asdict(conditions).values())

    def test_state_is_text_of_one_line(self) -> None:
        """What the machine tells fits the head of a table."""
        assert all(len(text.splitlines()) == 1 for text in self.make_profiler().state().values())

    def test_every_form_of_block_equals_torch(self) -> None:
        """Blocks of every form compute what torch computes, so that what is timed is what is deployed."""
        for space_name in self.spaces:
            self._check([Workload.of_block(spec) for spec in one_of_each_form(space_name)])

    def test_blocks_of_every_family_equal_torch(self) -> None:
        """No family of a space that ships is left out, whatever `spaces` are."""
        self._check([Workload.of_block(spec) for spec in one_of_each_family()])

    def test_whole_networks_equal_torch(self) -> None:
        """A network is the chain of its blocks."""
        for space_name in self.spaces:
            space = get_space(space_name)
            self._check([Workload.of_network(space, space.smallest)])

    def test_times_come_in_the_order_that_was_asked(self) -> None:
        """Each entry of the order has its time: the heavy block's is the greater one wherever it stands."""
        with_light_first = [0, 1, 1, 0, 1, 0, 0, 1] * 3
        session = self.make_profiler().open(self._light_and_heavy(), self.plan)
        try:
            session.time([0, 1], [1, 1])
            times = session.time(with_light_first, [1] * len(with_light_first))
        finally:
            session.close()
        assert len(times.ms) == len(times.is_disturbed) == len(with_light_first)
        assert np.isfinite(times.ms).all()
        assert min(times.ms) > 0
        ms, order = np.array(times.ms), np.array(with_light_first)
        assert ms[order == 1].min() > ms[order == 0].min()

    def test_times_are_for_one_execution(self) -> None:
        """Batching many executions does not multiply the time."""
        session = self.make_profiler().open(self._light_and_heavy(), self.plan)
        try:
            session.time([1, 1], [1, 1])
            single = min(session.time([1] * 5, [1] * 5).ms)
            batched = min(session.time([1] * 5, [100] * 5).ms)
        finally:
            session.close()
        # A hundredfold time would be that of the batch; less is the noise of a busy machine.
        assert batched < 20 * single

    def test_sessions_do_not_share_a_state(self) -> None:
        """A second session works beside the first, and after the first is closed."""
        profiler = self.make_profiler()
        first = profiler.open(self._light_and_heavy(), self.plan)
        if self.num_sessions == 1:
            first.close()
        second = profiler.open(self._light_and_heavy()[:1], self.plan)
        try:
            first.close()
            assert len(second.time([0], [1]).ms) == 1
        finally:
            second.close()

    def test_blocks_and_a_network_are_measured(self) -> None:
        """The whole loop runs, and every row is sound."""
        space = get_space("fashion")
        specs = unique_block_specs(space, space.resolutions[:1])[:3]
        run = measure(self.make_profiler(), specs, self.plan, networks=[Workload.of_network(space, space.smallest)])
        assert [row.block for row in run.blocks] == list(specs)
        assert run.networks[0].median_ms > 0
        assert all(row.conditions == run.blocks[0].conditions for row in (*run.blocks, *run.networks))

    def _light_and_heavy(self) -> list[Workload]:
        return [Workload.of_block(light_block()), Workload.of_block(heavy_block())]

    def _check(self, workloads: list[Workload]) -> None:
        profiler = self.make_profiler()
        session = profiler.open(workloads, self.plan)
        try:
            check_outputs(session, workloads, self.plan, device=profiler.device.name)
        finally:
            session.close()


class FamilyContract:
    """What holds for every family of blocks, tried on the networks of a space that uses it."""

    num_archs: int = 4

    def make_space(self) -> SearchSpace:
        """Return a small space with the family under test; the author's part."""
        raise NotImplementedError

    def test_genes_are_read_back(self) -> None:
        """Architectures survive genes and JSON."""
        space = self.make_space()
        archs = space.sample(50, np.random.default_rng(0))
        assert space.decode(space.encode(archs)) == archs
        assert [type(arch).from_json(arch.to_json()) for arch in archs] == archs

    def test_extracted_subnets_equal_the_supernet(self) -> None:
        """A slice computes what the block cut out of it computes."""
        import torch

        net = self._supernet()
        for arch in self._archs(net.space):
            x_BCHW = self._images(net.space, arch.resolution)
            with torch.no_grad():
                sliced, extracted = net(x_BCHW, arch), net.extract(arch)(x_BCHW)
            torch.testing.assert_close(extracted, sliced, rtol=1e-4, atol=1e-5 * float(sliced.std()))

    def test_counts_are_those_of_the_modules(self) -> None:
        """MACs and parameters counted from the graph are those that torch counts."""
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        net = self._supernet()
        for arch in self._archs(net.space):
            subnet = net.extract(arch)
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                subnet(self._images(net.space, arch.resolution)[:1])
            assert counter.get_total_flops() == 2 * num_macs(net.space, arch)
            assert sum(part.numel() for part in subnet.parameters()) == num_params(net.space, arch)

    def test_sorted_channels_leave_the_largest_network_as_it_was(self) -> None:
        """Sorting permutes whatever hangs on a hidden channel, together."""
        import torch

        net = self._supernet().double()
        x_BCHW = self._images(net.space, net.space.largest.resolution).double()
        with torch.no_grad():
            before = net(x_BCHW)
            net.sort_channels()
            torch.testing.assert_close(net(x_BCHW), before, rtol=1e-6, atol=1e-8 * float(before.std()))

    def test_every_weight_of_the_largest_network_learns(self) -> None:
        """What starts alike has a gradient after a step, but for learnt maps, which smaller networks alone use."""
        import torch

        net = self._supernet().train()
        net.start_alike()
        for _ in range(2):
            net(self._images(net.space, net.space.largest.resolution)).square().sum().backward()
            with torch.no_grad():
                for part in net.parameters():
                    part.sub_(0.01 * part.grad if part.grad is not None else 0)
        still = [name for name, part in net.named_parameters() if part.grad is None and "transform_" not in name]
        assert not still

    def test_files_compute_what_torch_computes(self) -> None:
        """TFLite and ONNX models, where their runtimes are installed, equal the subnet they were written from."""
        import torch

        from ofa_hw.formats.onnx_model import write_onnx
        from ofa_hw.formats.running import onnx_runner, tflite_runner
        from ofa_hw.formats.tflite_model import write_tflite
        from ofa_hw.nn import fold_chain

        net = self._supernet()
        arch = self._archs(net.space)[0]
        subnet, x_BCHW = net.extract(arch), self._images(net.space, arch.resolution)[:1]
        blocks = fold_chain(block_specs(net.space, arch), subnet)
        with torch.no_grad():
            expected = subnet(x_BCHW).numpy()
        for package, write, runner in (
            ("ai_edge_litert", write_tflite, tflite_runner),
            ("onnxruntime", write_onnx, onnx_runner),
        ):
            if importlib.util.find_spec(package) is not None:
                content = write(blocks)
                np.testing.assert_allclose(runner(content)(x_BCHW.numpy()), expected, atol=1e-4 * float(expected.std()))

    def _supernet(self) -> Supernet:
        """Return a supernet in eval mode, its statistics and learnt maps no longer those that it starts with."""
        import torch

        from ofa_hw.nn import Supernet

        net = Supernet(self.make_space(), generator=torch.Generator().manual_seed(0)).eval()
        with torch.no_grad():
            for name, tensor in net.state_dict().items():
                if "transform" in name or name.endswith(("bias", "running_mean")):
                    tensor.add_(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(2)) * 0.05)
        return net

    def _archs(self, space: SearchSpace) -> list[ArchConfig]:
        return [*space.sample(self.num_archs, np.random.default_rng(0)), space.smallest, space.largest]

    def _images(self, space: SearchSpace, resolution: int) -> Tensor:
        import torch

        generator = torch.Generator().manual_seed(1)
        return torch.randn(2, space.in_channels, resolution, resolution, generator=generator)
