"""The whole pipeline on the built-in images: train once, measure here, search, verify, export, report."""

from __future__ import annotations

import dataclasses
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ofa_hw import __version__
from ofa_hw.blocks import unique_block_specs
from ofa_hw.cost import LutLatency
from ofa_hw.deploy import TrainedRun, pick_along, predict, verify_run
from ofa_hw.images import BUILTIN
from ofa_hw.lut import LatencyTable, calibrate_table, draw_networks
from ofa_hw.plugins import find_device, get_profiler
from ofa_hw.predictor import AccuracyPredictor, read_samples
from ofa_hw.profiling import Device, Profiler, Workload, measure, plan_for
from ofa_hw.progress import ProgressCallback, no_progress
from ofa_hw.report import Metric, RunResults, note_figure, write_report
from ofa_hw.run import RunFolder
from ofa_hw.search import ParetoFront, SearchProblem, Top1, search_front
from ofa_hw.space import get_space
from ofa_hw.training import FinetuneConfig, create_run, progressive_shrinking, sample_run, train_run


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """How much of everything the demo does; with the defaults it takes some minutes on two cores."""

    num_images: int = 340_000
    num_samples: int = 500
    num_fit_networks: int = 20
    num_held_out_networks: int = 20
    measuring_seconds: float = 40.0
    num_evaluations: int = 20_000
    num_verified: int = 5
    num_finetune_images: int = 30_000
    num_workers: int = 2
    seed: int = 0


def run_demo(
    path: Path,
    config: DemoConfig | None = None,
    *,
    device_name: str = "host",
    command: str = "",
    progress: ProgressCallback = no_progress,
) -> RunResults:
    """Do what is still to be done in the run folder at `path`, and return all that its files tell.

    The stages are those of the commands: train, sample, fit, profile with calibrate, search, verify, report. What is
    there already is not made again, so that a demo which was interrupted goes on. The report names the `command`.

    Raises:
        OfaHwError: as the stages do.
    """
    device = find_device(device_name)
    profiler = get_profiler(device.runtime, device)
    profiler.check()
    began = time.monotonic()
    demo = _Demo(path, config or DemoConfig(), device, profiler, progress)
    demo.train()
    demo.sample()
    _unless_there(demo.run.predictor_path, demo.fit)
    _unless_there(demo.table_path, demo.measure)
    _unless_there(demo.run.front_path, demo.search)
    _unless_there(demo.run.verified_path, demo.verify)
    if command:
        demo.run.note_command(command, __version__)
    return demo.report(began)


class _Demo:
    """The stages; each writes last, at once, the file or folder by which it is known to be done."""

    def __init__(
        self, path: Path, config: DemoConfig, device: Device, profiler: Profiler, progress: ProgressCallback
    ) -> None:
        self.config, self.device, self.profiler, self.progress = config, device, profiler, progress
        self.run = RunFolder(path)
        self.table_path = path / "lut" / f"{device.name}.csv"

    def train(self) -> None:
        if not self.run.config_path.exists():
            space = get_space("fashion")
            create_run(
                self.run.path,
                space=space,
                data=BUILTIN,
                schedule=lambda _: progressive_shrinking(space, num_images=self.config.num_images),
                seed=self.config.seed,
                progress=self.progress,
            )
        train_run(self.run, resume=True, progress=self.progress)

    def sample(self) -> None:
        config = self.config
        sample_run(
            self.run, config.num_samples, seed=config.seed, num_workers=config.num_workers, progress=self.progress
        )

    def fit(self) -> None:
        samples = read_samples(self.run.samples_path)
        predictor = AccuracyPredictor.fit_samples(
            self.run.space, samples, seed=self.config.seed, progress=self.progress
        )
        soft = AccuracyPredictor.fit_samples(
            self.run.space, samples, score="mean_log_likelihood", seed=self.config.seed, progress=self.progress
        )
        title = "A predictor of the soft score mean_log_likelihood, Kendall tau on held-out subnets"
        self.note("predictor_soft_kendall_tau", title, soft.figures.kendall_tau, "tau", False)
        predictor.save(self.run.predictor_path)

    def measure(self) -> None:
        """Time the blocks and the networks that calibrate them in the same rounds."""
        config, space = self.config, self.run.space
        num = config.num_fit_networks + config.num_held_out_networks
        archs = draw_networks(space, num, np.random.default_rng(config.seed))
        measured = measure(
            self.profiler,
            unique_block_specs(space),
            plan_for(self.device, max_seconds=config.measuring_seconds),
            networks=[Workload.of_network(space, arch) for arch in archs],
            progress=self.progress,
            seed=config.seed,
        )
        table = LatencyTable(space=space.name, measurements=measured.blocks, notes=measured.notes)
        fitted, held_out = measured.networks[: config.num_fit_networks], measured.networks[config.num_fit_networks :]
        calibrate_table(table, fitted, held_out).write(self.table_path)

    def search(self) -> None:
        space = self.run.space
        latency = LutLatency(space=space, table=LatencyTable.read(self.table_path))
        top1 = Top1(space=space, predictor=AccuracyPredictor.load(self.run.predictor_path))
        front = search_front(
            SearchProblem(space=space, objectives=(top1, latency)),
            num_evaluations=self.config.num_evaluations,
            seed=self.config.seed,
            progress=self.progress,
        )
        front.write(self.run.front_path)

    def verify(self) -> None:
        config, table = self.config, LatencyTable.read(self.table_path)
        archs = ParetoFront.read(self.run.front_path, self.run.space).archs
        verify_run(
            self.run,
            pick_along(predict(self.run, archs, table), config.num_verified),
            table,
            self.profiler,
            tuning=FinetuneConfig(num_images=config.num_finetune_images),
            plan=plan_for(self.device, max_seconds=config.measuring_seconds / 2),
            num_workers=config.num_workers,
            seed=config.seed,
            progress=self.progress,
        )

    def report(self, began: float) -> RunResults:
        """Note what the demo itself has measured, and write the report."""
        for name, top1 in TrainedRun(self.run).corner_test_top1().items():
            self.note(f"test_top1_{name}", f"Top-1 of the {name} subnet, test images", top1, "fraction", False)
        self.note("demo_seconds", "The demo up to its report", round(time.monotonic() - began, 1), "s", True)
        self.note("demo_peak_memory", "Peak memory of the demo", round(_peak_memory_mb()), "MB", True)
        return write_report(self.run, lut=self.table_path)

    def note(self, name: str, title: str, value: float, unit: str, smaller_is_better: bool) -> None:
        note_figure(
            self.run, Metric(name=name, title=title, value=value, unit=unit, smaller_is_better=smaller_is_better)
        )


def _unless_there(path: Path, make: Callable[[], None]) -> None:
    if not path.exists():
        make()


def _peak_memory_mb() -> float:
    """Return the greatest resident memory of this process, plus that of its largest child, in MB."""
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(peaks) / 1024
