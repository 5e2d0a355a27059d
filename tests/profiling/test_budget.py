"""The time of a plan covers all that is done for it, however busy the machine is; a clock stands in for time."""

import dataclasses

import pytest
import torch

from ofa_hw.blocks import unique_block_specs
from ofa_hw.errors import DeviceError
from ofa_hw.profiling import MeasurementPlan, TimedRun, Times, Workload
from ofa_hw.profiling.journal import Journal
from ofa_hw.profiling.output_check import check_outputs
from ofa_hw.profiling.record import Chunk, ProcessRecord, Round
from ofa_hw.space import get_space
from tests.profiling.fake import FakeProfiler, TimedProfiler

WORKLOADS = [Workload.of_block(spec) for spec in unique_block_specs(get_space("ofa-mobilenetv3-w1.0"), (224,))[:4]]
ENDLESS = MeasurementPlan(max_seconds=30, target_relative_ci=1e-9)


def run_all(profiler, plan=ENDLESS, journal=None):
    run = TimedRun(profiler, plan, WORKLOADS, journal=journal, clock=profiler.clock)
    run.time_all()
    return run


def num_samples(run):
    return [len(samples) for record in run.records(0) for samples in record.samples()[0]]


@pytest.mark.parametrize(
    "profiler",
    [
        TimedProfiler(),
        TimedProfiler(disturbed=1.0, others_load=1.8),
        TimedProfiler(slowness=lambda now: 4.0),
        TimedProfiler(slowness=lambda now: 1.0 if now < 3 else 8.0, disturbed=0.97),
        TimedProfiler(open_seconds=4.0, call_seconds=0.2),
    ],
    ids=["quiet", "disturbed", "slow", "slow later", "slow to open"],
)
def test_the_time_is_kept_whatever_disturbs(profiler):
    run = run_all(profiler)
    assert 0.8 * ENDLESS.max_seconds <= profiler.clock.seconds <= 1.2 * ENDLESS.max_seconds
    assert run.num_processes() == 3
    assert run.remarks() == ()
    assert min(num_samples(run)) >= 3


def test_rows_of_a_device_that_is_always_disturbed_are_marked():
    run = run_all(TimedProfiler(disturbed=1.0))
    assert all("contended" in row["marks"].split() for row in run.rows(0))


def test_time_that_does_not_suffice_for_each_process_begins_fewer_and_says_so():
    profiler = TimedProfiler(open_seconds=11.0)
    run = run_all(profiler)
    assert profiler.clock.seconds <= 1.2 * ENDLESS.max_seconds
    assert len(profiler.sessions) == run.num_processes() == len(run.records(0)) == 2
    assert run.remarks() == ("rows come from 2 of 3 processes; give more time",)
    assert "2 fresh processes" in run.method()
    assert all(row["num_runs"] >= 6 for row in run.rows(0))


def test_time_that_does_not_suffice_for_one_process_gives_three_samples_and_says_so():
    profiler = TimedProfiler(open_seconds=20.0)
    run = run_all(profiler, dataclasses.replace(ENDLESS, max_seconds=5))
    assert len(profiler.sessions) == 1
    assert set(num_samples(run)) == {3}
    assert run.remarks()[1].startswith("it took 21 s of 5: ")


def test_what_one_process_does_not_need_the_next_may_use():
    plan = dataclasses.replace(ENDLESS, target_relative_ci=1, min_runs=6)
    profiler = TimedProfiler(noise=0.002, open_seconds=11.0)
    run = run_all(profiler, dataclasses.replace(plan, max_seconds=36))
    assert run.num_processes() == 3
    assert profiler.clock.seconds < 36


def test_a_process_that_had_its_time_is_not_begun_anew(tmp_path):
    first = TimedProfiler()
    journal = Journal(tmp_path / "journal", tolerance=ENDLESS.tolerance)
    head = {"names": [workload.name for workload in WORKLOADS], "plan": ENDLESS, "seed": 0}
    head |= {"conditions": first.conditions(ENDLESS), "state": {}}
    journal.begin(**head, resume=False)
    run = TimedRun(first, ENDLESS, WORKLOADS, journal=journal, clock=first.clock)
    run.time_process(0, 0)
    again = Journal(tmp_path / "journal", tolerance=ENDLESS.tolerance)
    again.begin(**head, resume=True)
    second = TimedProfiler()
    run = run_all(second, journal=again)
    assert len(second.sessions) == 2
    assert run.spent_before == pytest.approx(first.clock.seconds, abs=0.1)
    assert first.clock.seconds + second.clock.seconds <= 1.2 * ENDLESS.max_seconds


def test_a_chunk_of_an_earlier_journal_is_read():
    line = {"rounds": [{"order": [0, 1], "ms": [1.0, 2.0], "disturbed": []}], "seconds": 0.5, "others_load": 0.1}
    chunk = Chunk.from_dict(line)
    assert (chunk.num_cores, chunk.spent_seconds) == (1, 0.5)
    assert Chunk.from_dict(chunk.to_dict()) == chunk


@pytest.mark.parametrize(
    ("num_cores", "others_load", "is_contended"),
    [(4, 3.0, True), (4, 0.5, False), (64, 3.0, False), (64, 7.0, True), (1, 0.4, True)],
)
def test_contention_is_judged_by_the_device_s_own_cores(num_cores, others_load, is_contended, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    timed = Round(order=(0, 1), ms=(1.0, 1.0), is_disturbed=(False, False))
    record = ProcessRecord(1, tolerance=0.05)
    record.add(Chunk(rounds=(timed,), seconds=1.0, others_load=others_load, num_cores=num_cores, spent_seconds=1.0))
    assert record.is_contended is is_contended


@pytest.mark.parametrize("ms", [0.0, -1.0, float("nan"), float("inf"), 1e300, "1.0", None, True])
def test_what_is_no_time_is_refused(ms):
    with pytest.raises(DeviceError, match="times must be milliseconds above 0"):
        Times(ms=(1.0, ms), is_disturbed=(False, False))


@pytest.mark.parametrize("load", [-0.1, float("nan"), float("inf"), "much"])
def test_what_is_no_load_is_refused(load):
    with pytest.raises(DeviceError, match="others_load must be a number of cores"):
        Times(ms=(1.0,), is_disturbed=(False,), others_load=load)


def test_torch_checks_outputs_on_one_thread(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "ofa_hw.nn.folded_reference.run_blocks", lambda blocks, x: seen.append(torch.get_num_threads()) or x
    )
    profiler, before = FakeProfiler(), torch.get_num_threads()
    session = profiler.open(WORKLOADS, ENDLESS)
    monkeypatch.setattr(session, "run", lambda index, x: x)
    check_outputs(session, WORKLOADS, ENDLESS, device="fake")
    assert seen == [1] * len(WORKLOADS)
    assert torch.get_num_threads() == before
