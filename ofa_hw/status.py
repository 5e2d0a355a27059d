"""How far a run is, from the files in its folder alone: nothing is loaded that takes time."""

from __future__ import annotations

import csv
import dataclasses
import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ofa_hw.errors import OfaHwError, RunError
from ofa_hw.files import read_jsonl
from ofa_hw.run import RUNS_FOLDER, RunFolder

NUM_BEST = 3
EXPORTED = ("*.tflite", "*.onnx", "*.pt2")
_FAULTS = (OfaHwError, OSError, KeyError, TypeError, ValueError, AttributeError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BestNet:
    """A network of a run: its top-1, a fraction, and latency, `measured` by verify or `predicted` by search."""

    arch_id: str
    source: str
    top1: float
    latency_ms: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunStatus:
    """What of the work of a run is done.

    `num_images` of `num_images_in_all` were trained on (None in all: the weights were imported). `predictor` is the
    kind of the model, None where there is none. `fault` says what of the folder cannot be read, None where all can.
    """

    path: Path
    space: str | None = None
    num_images: int = 0
    num_images_in_all: int | None = None
    is_trained: bool = False
    num_samples: int = 0
    predictor: str | None = None
    num_front: int = 0
    num_verified: int = 0
    num_exported: int = 0
    best: tuple[BestNet, ...] = ()
    fault: str | None = None

    @property
    def next_command(self) -> str:
        """The command that goes on with the run."""
        run = ["--run", str(self.path)]
        steps = (
            (self.is_trained, ["train", *run, "--resume"]),
            (self.num_samples > 0, ["sample", *run, "--num", "300"]),
            (self.predictor is not None, ["fit", *run]),
            (self.num_front > 0, self._with_table("search", run)),
            (self.num_verified > 0, self._with_table("verify", run)),
            (self.num_exported > 0, ["export", *run, "--pick", self.best[0].arch_id if self.best else "1"]),
        )
        words = next((words for is_done, words in steps if not is_done), ["report", *run])
        return shlex.join(["ofa-hw", *words])

    def _with_table(self, command: str, run: list[str]) -> list[str]:
        """Return the words of `command` with a table of the space that lies in lut/, or those that measure one."""
        for table in sorted(Path("lut").glob("*.csv")):
            with table.open(encoding="utf-8", errors="replace") as lines:
                if any(line.strip() == f"# space: {self.space}" for line, _ in zip(lines, range(100), strict=False)):
                    return [command, *run, "--lut", str(table)]
        return ["profile", "--device", "host", "--space", str(self.path), "--out", "lut/host.csv"]

    def to_dict(self) -> dict[str, Any]:
        """Return the status as plain values."""
        return {**dataclasses.asdict(self), "path": str(self.path), "next": self.next_command}


def list_runs(folder: str | Path = RUNS_FOLDER) -> list[RunStatus]:
    """Return the status of each run in `folder`; the last is the one that commands take if none is named."""
    configs = sorted(Path(folder).glob("*/config.toml"), key=lambda config: config.stat().st_mtime_ns)
    return [run_status(RunFolder(config.parent)) for config in configs]


def run_status(run: RunFolder) -> RunStatus:
    """Return how far `run` is; a file that cannot be read is told as its `fault`."""
    status = RunStatus(path=run.path, is_trained=run.supernet_path.exists())
    try:
        seen, in_all = _trained(run)
        status = dataclasses.replace(
            status, space=run.config["space"]["name"], num_images=seen, num_images_in_all=in_all
        )
        predictor, front = run.predictor_path / "predictor.json", _rows(run.front_path)
        verified = _rows(run.verified_path)
        return dataclasses.replace(
            status,
            num_samples=len(read_jsonl(run.samples_path)),
            predictor=json.loads(predictor.read_text())["model"] if predictor.exists() else None,
            num_front=len(front),
            num_verified=len(verified),
            num_exported=len(exported_files(run)),
            best=_best(verified, "measured", "test_top1", "measured_latency_ms")
            or _best(front, "predicted", "predicted_top1", "predicted_latency_ms"),
        )
    except _FAULTS as error:
        fault = str(error) if isinstance(error, OfaHwError | OSError) else f"damaged ({type(error).__name__}: {error})"
        return dataclasses.replace(status, fault=" ".join(fault.split()))


def exported_files(run: RunFolder) -> list[Path]:
    """Return the files that were exported from `run`, the latest first."""
    files = [path for pattern in EXPORTED for path in run.exported_path.glob(pattern)]
    return sorted(files, key=lambda path: -path.stat().st_mtime_ns)


def best_exported(run: RunFolder) -> tuple[Path, str]:
    """Return the file of the network to use, and why it is that one.

    It is the verified network with the highest top-1 on the validation images (the test images are for the report
    alone), else the file that was exported last.

    Raises:
        RunError: nothing was exported yet; the message names the command that goes on.
    """
    files = [path for path in exported_files(run) if path.suffix != ".pt2"]
    try:
        rows = [row for row in _rows(run.verified_path) if run.path / row["exported"] in files]
        best = max(rows, key=lambda row: float(row["val_top1"]), default=None)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run.verified_path} is damaged ({error}); remove it, and verify again") from error
    if best is not None:
        return run.path / best["exported"], f"the best of {len(rows)} verified networks on the validation images"
    if not files:
        raise RunError(f"{run.path} has no exported network yet; go on with `{run_status(run).next_command}`")
    return files[0], "the file that was exported last"


def _trained(run: RunFolder) -> tuple[int, int | None]:
    """Return the images that were trained on, and how many there will be."""
    phases = run.config.get("training", {}).get("phases")
    if not phases:
        return 0, None
    in_all = sum(phase["num_images"] for phase in phases)
    if run.supernet_path.exists():
        return in_all, in_all
    seen = {row["phase"]: row["images"] for row in read_jsonl(run.metrics_path) if row["kind"] in ("step", "phase_end")}
    return min(sum(seen.values()), in_all), in_all


def _best(rows: Iterable[dict[str, str]], source: str, top1: str, latency: str) -> tuple[BestNet, ...]:
    nets = [
        BestNet(
            arch_id=row["arch_id"],
            source=source,
            top1=float(row[top1]),
            latency_ms=float(row[latency]) if row.get(latency) else None,
        )
        for row in rows
        if row.get(top1)
    ]
    return tuple(sorted(nets, key=lambda net: -net.top1)[:NUM_BEST])


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file, without the lines of its head; [] where there is none."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(line for line in lines if not line.startswith("#")))
