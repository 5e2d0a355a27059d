"""A device whose times are known, so that the measuring loop can be tested without a clock."""

import numpy as np

from ofa_hw.blocks import block_macs
from ofa_hw.nn.folded_reference import run_blocks
from ofa_hw.profiling import Device, RunConditions, Times


def true_ms(workload):
    """What a workload really takes on the fake device."""
    if workload.file:
        return workload.file.path.stat().st_size / 1e5
    return sum(0.01 + block_macs(spec) / 1e6 for spec in workload.specs)


class FakeSession:
    def __init__(self, profiler, workloads, process):
        self.profiler, self.workloads, self.process = profiler, workloads, process
        self.marks = (profiler.marks,) * len(workloads)
        self.rng = np.random.default_rng(process)
        self.is_closed = False
        self.num_calls = 0

    def run(self, index, x_BCHW):
        return run_blocks(self.workloads[index].folded(), x_BCHW) + self.profiler.output_error

    def time(self, order, repeats):
        self.num_calls += 1
        self.profiler.num_samples += len(order)
        if self.profiler.num_samples > self.profiler.fails_after:
            raise KeyboardInterrupt
        truth = np.array([true_ms(self.workloads[index]) for index in order])
        noise = 1 + self.profiler.noise * np.abs(self.rng.standard_normal(len(order)))
        is_sentinel = np.array(order) == len(self.workloads) - 1
        factor = self.profiler.slow_down(self.process, self.num_calls)
        factor = factor * np.where(
            is_sentinel, 1, self.profiler.slow_workloads(self.num_calls) * self.profiler.more_work
        )
        disturbed = self.rng.random(len(order)) < self.profiler.disturbed
        ms = truth * noise * factor * np.where(disturbed, 3, 1)
        return Times(
            ms=tuple(ms.tolist()), is_disturbed=tuple(disturbed.tolist()), others_load=self.profiler.others_load
        )

    def close(self):
        self.is_closed = True


class FakeProfiler:
    model_suffixes = (".fake",)
    method = "a formula"

    def __init__(self, *, noise=0.002, disturbed=0.0, others_load=0.0, output_error=0.0, fails_after=float("inf")):
        self.device = Device(name="fake", runtime="fake")
        self.noise, self.disturbed, self.others_load = noise, disturbed, others_load
        self.output_error, self.fails_after = output_error, fails_after
        self.slow_down = lambda process, call: 1.0
        self.slow_workloads = lambda call: 1.0
        self.more_work = 1.0
        self.sessions = []
        self.marks = ""
        self.capacity = 1e9
        self.num_samples = 0

    def check(self):
        pass

    def conditions(self, plan):
        return RunConditions(
            device="fake",
            runtime="fake",
            runtime_version="1.0",
            dtype=plan.dtype,
            batch_size=plan.batch_size,
            num_threads=plan.num_threads,
            cpu_mask="0x1",
            governor="none",
            clocks="1 MHz",
        )

    def state(self):
        return {"host": "fake", "clocks": "1 MHz", "load": "0.00"}

    def capacity_bytes(self):
        return self.capacity

    def open(self, workloads, plan):
        self.sessions.append(FakeSession(self, list(workloads), len(self.sessions)))
        return self.sessions[-1]


class Clock:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


class TimedSession(FakeSession):
    def time(self, order, repeats):
        executions = zip(order, repeats, strict=True)
        busy_ms = sum((1 + count) * true_ms(self.workloads[index]) for index, count in executions)
        profiler = self.profiler
        profiler.clock.seconds += profiler.slowness(profiler.clock.seconds) * busy_ms / 1e3 + profiler.call_seconds
        return super().time(order, repeats)


class TimedProfiler(FakeProfiler):
    """A fake device on which everything takes time: opening, each call, and `slowness` times as long when busy."""

    def __init__(self, *, open_seconds=1.0, call_seconds=0.001, slowness=lambda now: 1.0, **changes):
        super().__init__(**changes)
        self.clock = Clock()
        self.open_seconds, self.call_seconds, self.slowness = open_seconds, call_seconds, slowness

    def open(self, workloads, plan):
        self.clock.seconds += self.open_seconds * self.slowness(self.clock.seconds)
        self.sessions.append(TimedSession(self, list(workloads), len(self.sessions)))
        return self.sessions[-1]
