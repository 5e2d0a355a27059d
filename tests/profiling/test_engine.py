import dataclasses
import itertools

import numpy as np
import pytest

from ofa_hw.blocks import unique_block_specs
from ofa_hw.errors import DeviceError, InvalidInputError, RunError
from ofa_hw.profiling import MeasurementPlan, TimedRun, Workload, measure, measure_blocks, measure_networks
from ofa_hw.space import get_space
from tests.profiling.fake import FakeProfiler, TimedProfiler, true_ms

SPACE = get_space("fashion")
SPECS = unique_block_specs(SPACE, (20,))
PLAN = MeasurementPlan(max_seconds=20, num_processes=2, min_runs=20)


def networks(num):
    archs = {arch.arch_id: arch for arch in SPACE.sample(num, np.random.default_rng(0))}
    return [Workload.of_network(SPACE, arch) for arch in archs.values()]


def test_each_process_builds_in_another_order_and_rows_stay_with_their_blocks():
    profiler = FakeProfiler(noise=0)
    rows = measure_blocks(profiler, SPECS, PLAN)
    orders = [[workload.name for workload in session.workloads] for session in profiler.sessions]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0][-1] == orders[1][-1]
    for row in rows:
        assert row.median_ms == pytest.approx(true_ms(Workload.of_block(row.block)))


def test_every_block_gets_the_median_it_truly_has():
    rows = measure_blocks(FakeProfiler(), SPECS, PLAN)
    assert [row.block for row in rows] == list(SPECS)
    for row in rows:
        assert row.median_ms == pytest.approx(true_ms(Workload.of_block(row.block)), rel=0.005)
        assert row.ci_low_ms <= row.median_ms <= row.ci_high_ms
        assert row.num_runs >= PLAN.min_runs
        assert row.marks == ""


def test_blocks_and_networks_are_timed_in_the_same_rounds():
    profiler = FakeProfiler()
    run = measure(profiler, SPECS, PLAN, networks=networks(3))
    assert len(run.blocks) == len(SPECS)
    assert [network.name for network in run.networks] == [network.name for network in networks(3)]
    assert len(profiler.sessions) == PLAN.num_processes
    for row, workload in zip(run.networks, networks(3), strict=True):
        assert row.median_ms == pytest.approx(true_ms(workload), rel=0.005)


def test_workloads_beyond_the_capacity_are_timed_in_groups():
    profiler = FakeProfiler()
    profiler.capacity = 200_000
    run = measure(profiler, SPECS, PLAN, networks=networks(3))
    sizes = [len(session.workloads) - 1 for session in profiler.sessions]
    assert len(sizes) > PLAN.num_processes
    assert sum(sizes) == (len(SPECS) + 3) * PLAN.num_processes
    assert [row.block for row in run.blocks] == list(SPECS)


def test_rounds_in_which_all_are_slow_are_repeated_though_the_sentinel_is_not():
    profiler = TimedProfiler()
    profiler.slow_workloads = lambda call: 1.3 if call > 20 and call % 4 == 0 else 1.0
    assert_rounds_are_repeated(profiler, SPECS, max_seconds=20)


def test_each_process_is_fresh_and_closed():
    profiler = FakeProfiler()
    measure_networks(profiler, networks(2), dataclasses.replace(PLAN, num_processes=3))
    assert len(profiler.sessions) == 3
    assert all(session.is_closed for session in profiler.sessions)


def test_samples_without_the_core_do_not_count():
    profiler = TimedProfiler(disturbed=0.05)
    workloads = [Workload.of_block(spec) for spec in SPECS]
    run = TimedRun(profiler, PLAN, workloads, clock=profiler.clock)
    run.time_all()
    for workload, row in zip(workloads, run.rows(0), strict=True):
        assert row["p90_ms"] < 1.1 * true_ms(workload)


def test_rounds_with_a_slow_sentinel_are_repeated_and_counted():
    profiler = TimedProfiler()
    profiler.slow_down = lambda process, call: 1.5 if call > 100 and call % 8 == 0 else 1.0
    assert_rounds_are_repeated(profiler, SPECS[:4], max_seconds=8)


def assert_rounds_are_repeated(profiler, specs, *, max_seconds):
    workloads = [Workload.of_block(spec) for spec in specs]
    plan = dataclasses.replace(PLAN, target_relative_ci=1e-9, max_seconds=max_seconds)
    run = TimedRun(profiler, plan, workloads, clock=profiler.clock)
    run.time_all()
    assert not run.notes({})["rounds"].endswith(" 0 repeated")
    for workload, row in zip(workloads, run.rows(0), strict=True):
        assert row["p90_ms"] < 1.1 * true_ms(workload)


def test_contention_is_said_and_marked():
    run = measure(FakeProfiler(others_load=1.0), SPECS[:4], PLAN)
    assert all("contended" in row.marks.split() for row in run.blocks)
    assert "1.00 of 1 cores" in run.warnings()[0]


def test_difference_between_processes_is_kept():
    profiler = FakeProfiler()
    profiler.slow_down = lambda process, call: 1.0 + 0.03 * process
    assert all(row.process_spread == pytest.approx(0.03, abs=0.005) for row in measure_blocks(profiler, SPECS, PLAN))


def test_budget_ends_the_run_and_marks_what_is_wide():
    profiler = TimedProfiler(noise=2.0)
    run = TimedRun(profiler, PLAN, [Workload.of_block(spec) for spec in SPECS], clock=profiler.clock)
    run.time_all()
    assert all("wide" in row["marks"].split() for row in run.rows(0))


def test_wrong_output_is_refused_before_timing():
    with pytest.raises(DeviceError, match=r"fake: the output of .* must equal torch's"):
        measure_blocks(FakeProfiler(output_error=0.1), SPECS, PLAN)


def test_nothing_or_the_same_twice_is_refused():
    with pytest.raises(InvalidInputError, match="came 0"):
        measure_blocks(FakeProfiler(), [], PLAN)
    with pytest.raises(InvalidInputError, match="a name of its own"):
        measure_blocks(FakeProfiler(), [SPECS[0], SPECS[0]], PLAN)


@pytest.mark.parametrize("fails_after", [500, 2000, 4000])
def test_interrupted_run_goes_on_and_loses_no_row(tmp_path, fails_after):
    journal = tmp_path / "journal"
    with pytest.raises(KeyboardInterrupt):
        measure(FakeProfiler(fails_after=fails_after), SPECS, dataclasses.replace(PLAN, min_runs=200), journal=journal)
    num_kept = len(journal.read_bytes().splitlines()) - 1
    profiler = FakeProfiler()
    run = measure(profiler, SPECS, dataclasses.replace(PLAN, min_runs=200), journal=journal, resume=True)
    assert [row.block for row in run.blocks] == list(SPECS)
    assert all(row.num_runs >= 200 for row in run.blocks)
    assert num_kept <= len(journal.read_bytes().splitlines()) - 1


def test_finished_journal_is_not_measured_again(tmp_path):
    first = measure(FakeProfiler(), SPECS, PLAN, journal=tmp_path / "journal")
    profiler = FakeProfiler()
    again = measure(profiler, SPECS, PLAN, journal=tmp_path / "journal", resume=True)
    assert not profiler.sessions
    for one, other in zip(first.blocks, again.blocks, strict=True):
        assert dataclasses.replace(other, measured_at=one.measured_at) == one


def test_marks_of_the_runtime_survive_a_resumed_run(tmp_path):
    profiler = FakeProfiler()
    profiler.marks = "launch-bound"
    measure(profiler, SPECS[:3], PLAN, journal=tmp_path / "journal")
    again = measure(FakeProfiler(), SPECS[:3], PLAN, journal=tmp_path / "journal", resume=True)
    assert [row.marks for row in again.blocks] == ["launch-bound"] * 3
    assert again.warnings() == ("3 of 3 rows: launching takes longer than computing",)


def test_journal_of_another_measurement_is_refused(tmp_path):
    measure(FakeProfiler(), SPECS[:3], PLAN, journal=tmp_path / "journal")
    with pytest.raises(RunError, match="another workloads"):
        measure(FakeProfiler(), SPECS[:4], PLAN, journal=tmp_path / "journal", resume=True)
    plan = dataclasses.replace(PLAN, num_threads=2)
    with pytest.raises(RunError, match="another num_threads"):
        measure(FakeProfiler(), SPECS[:3], plan, journal=tmp_path / "journal", resume=True)


def test_damaged_journal_names_its_line(tmp_path):
    journal = tmp_path / "journal"
    measure(FakeProfiler(), SPECS[:3], PLAN, journal=journal)
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines[:1], '{"group": 0}', *lines[1:]]) + "\n")
    with pytest.raises(RunError, match="line 2"):
        measure(FakeProfiler(), SPECS[:3], PLAN, journal=journal, resume=True)


def test_same_seed_gives_the_same_order():
    orders = []
    for _ in range(2):
        profiler = TimedProfiler()
        plan = dataclasses.replace(PLAN, num_processes=1)
        workloads = [Workload.of_block(spec) for spec in SPECS[:5]]
        TimedRun(profiler, plan, workloads, clock=profiler.clock).time_all()  # the wall clock would decide how many
        orders.append(profiler.num_samples)
    assert orders[0] == orders[1]


def test_progress_never_falls_and_ends_full():
    told = []
    measure_blocks(FakeProfiler(), SPECS, PLAN, progress=lambda text, done, total: told.append((done, total)))
    assert all(later >= earlier for (earlier, _), (later, _) in itertools.pairwise(told))
    assert told[-1][0] == told[-1][1]
