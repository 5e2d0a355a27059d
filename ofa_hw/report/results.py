"""`RunResults`: what the files of a run hold, as tables, and which of them are still to be made."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa_hw.errors import InvalidInputError, RunError
from ofa_hw.files import read_json, read_jsonl
from ofa_hw.lut import LatencyTable
from ofa_hw.predictor.samples import read_samples
from ofa_hw.run import Command, RunFolder
from ofa_hw.search import ParetoFront
from ofa_hw.search.tables import find_tables, profile_command, table_to_make
from ofa_hw.space import ArchConfig, SearchSpace

if TYPE_CHECKING:
    import pandas as pd

FIT_FIGURES = ("num_samples", "kendall_tau", "top1_rmse", "coverage_90")
PHASE_COLUMNS = ("index", "phase", "subnet", "top1", "seconds", "images")
LOSS_COLUMNS = ("images", "phase", "loss", "phase_begin")
SAMPLE_COLUMNS = ("arch_id", "arch", "top1", "mean_true_prob", "num_images")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Missing:
    """What a run does not hold yet, and the command that makes it."""

    what: str
    command: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunResults:
    """The tables of one run; a table whose file is not there yet has no rows, and `missing` says what makes it.

    table         a row is
    -----------   -------------------------------------------------------------------------------------------
    `phases`      a subnet evaluated at the end of a training phase (`PHASE_COLUMNS`; top1 a fraction)
    `losses`      a logged step of training (`LOSS_COLUMNS`; images and phase_begin counted from the start)
    `samples`     an evaluated subnet (`SAMPLE_COLUMNS`)
    `verified`    a network of the front, evaluated and timed for real (VERIFIED_COLUMNS)
    `whole_nets`  a whole network beside the sum of its blocks (WHOLE_NET_COLUMNS)
    `held_out`    a sample as predicted by models that did not see it (HELD_OUT_COLUMNS)
    `learning`    what models of few and of more samples are worth on the others (LEARNING_COLUMNS)

    `front` is what the search found, None before it; `device_fronts` are the fronts of a search for many devices, by
    the name of the device. `lut` is the latency table, None where none is known, `other_tables` those of further
    devices to show; `predictor` holds what predictor.json tells of the accuracy predictor, nothing where there is none;
    `commands` are those that were run on the folder, the first first.
    """

    name: str
    path: Path
    space: SearchSpace
    config: Mapping[str, Any]
    phases: pd.DataFrame
    losses: pd.DataFrame
    samples: pd.DataFrame
    front: ParetoFront | None
    device_fronts: Mapping[str, ParetoFront]
    verified: pd.DataFrame
    whole_nets: pd.DataFrame
    held_out: pd.DataFrame
    learning: pd.DataFrame
    lut: LatencyTable | None
    other_tables: tuple[LatencyTable, ...]
    commands: tuple[Command, ...]
    predictor: Mapping[str, Any]
    missing: tuple[Missing, ...]


VERIFIED_COLUMNS = {
    "arch_id": str,
    "arch": str,
    "predicted_top1": float,
    "val_top1": float,
    "test_top1_before": float,
    "test_top1": float,
    "num_test_images": float,
    "predicted_latency_ms": float,
    "measured_latency_ms": float,
    "measured_latency_low_ms": float,
    "measured_latency_high_ms": float,
}
WHOLE_NET_COLUMNS = {"arch_id": str, "origin": str, "sum_ms": float, "predicted_ms": float, "measured_ms": float}


HELD_OUT_COLUMNS = {"arch_id": str, "top1_measured": float, "top1_predicted": float, "low": float, "high": float}
LEARNING_COLUMNS = {"num_samples": float, "kendall_tau": float, "rmse_points": float}


def read_results(run: RunFolder, *, lut: Path | None = None, other_luts: Sequence[Path] = ()) -> RunResults:
    """Return what the files of `run` hold; `lut` is the latency table, where given.

    `other_luts` are tables of other devices, on which the same networks are shown.

    Raises:
        RunError: a file is damaged; the message names the file and the place.
        TableError: the latency table cannot be read, or is of another space.
    """
    phases, losses = _training_tables(run)
    table = LatencyTable.read(lut) if lut else None
    other_tables = tuple(map(LatencyTable.read, other_luts))
    of_devices = {entry.device: run.path / f"pareto-{entry.device}.csv" for entry in (table, *other_tables) if entry}
    results = RunResults(
        name=run.path.resolve().name,
        path=run.path,
        space=run.space,
        config=run.config,
        phases=phases,
        losses=losses,
        samples=_sample_table(run),
        front=ParetoFront.read(run.front_path, run.space) if run.front_path.exists() else None,
        device_fronts={
            device: ParetoFront.read(path, run.space)
            for device, path in of_devices.items()
            if other_tables and path.exists()
        },
        verified=_read_if_made(run.verified_path, VERIFIED_COLUMNS),
        whole_nets=_read_if_made(run.whole_nets_path, WHOLE_NET_COLUMNS),
        held_out=_read_if_made(run.predictor_path / "held_out.csv", HELD_OUT_COLUMNS),
        learning=_read_if_made(run.predictor_path / "learning_curve.csv", LEARNING_COLUMNS),
        lut=table,
        other_tables=other_tables,
        commands=run.commands,
        predictor=_read_predictor_facts(run),
        missing=(),
    )
    return dataclasses.replace(results, missing=_missing(run, results))


def read_table(path: Path, columns: Mapping[str, type]) -> pd.DataFrame:
    """Return the CSV file at `path`, which must have `columns` of text or of finite numbers; it may have more.

    Raises:
        RunError: naming the file, the row and the column at fault.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, comment="#", dtype={name: kind for name, kind in columns.items() if kind is str})
    except ValueError as error:
        raise RunError(f"{path}: must be a table of comma-separated values; {error}") from error
    for name, kind in columns.items():
        if name not in table:
            raise RunError(f"{path}: must have a column {name}; it has {', '.join(map(str, table.columns))}")
        if kind is float:
            table[name] = pd.to_numeric(table[name], errors="coerce").astype(float)
        is_good = table[name].map(math.isfinite) if kind is float else table[name].notna()
        if not is_good.all():
            wanted = "a finite number" if kind is float else "a text"
            raise RunError(f"{path}, row {int(is_good.argmin()) + 1}: {name} must be {wanted}; make the file again")
    for row, text in enumerate(table["arch"] if "arch" in columns else (), start=1):
        try:
            ArchConfig.from_json(text)
        except InvalidInputError as error:
            raise RunError(f"{path}, row {row}: {error}") from error
    return table


def _read_if_made(path: Path, columns: Mapping[str, type]) -> pd.DataFrame:
    return read_table(path, columns) if path.exists() else _table(tuple(columns), [])


def _table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns))


def _training_tables(run: RunFolder) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (`phases`, `losses`) from the journal of training, which counts images anew in each phase."""
    phases, losses, images_before = [], [], 0
    for number, row in enumerate(read_jsonl(run.metrics_path), start=1):
        try:
            if row["kind"] == "step":
                losses.append(
                    (images_before + int(row["images"]), str(row["phase"]), float(row["loss"]), images_before)
                )
            elif row["kind"] == "phase_end":
                images_before += int(row["images"])
                for subnet, scores in row["evals"].items():
                    end = (int(row["index"]), str(row["phase"]), subnet, float(scores["top1"]))
                    phases.append((*end, float(row["seconds"]), images_before))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"{run.metrics_path}, line {number}: must be a row of the training journal ({error!r}); train again"
            ) from error
    return _table(PHASE_COLUMNS, phases), _table(LOSS_COLUMNS, losses)


def _sample_table(run: RunFolder) -> pd.DataFrame:
    rows = [
        (sample.arch.arch_id, sample.arch.to_json(), sample.top1, sample.mean_true_prob, sample.num_images)
        for sample in read_samples(run.samples_path)
    ]
    return _table(SAMPLE_COLUMNS, rows)


def _read_predictor_facts(run: RunFolder) -> Mapping[str, Any]:
    path = run.predictor_path / "predictor.json"
    if not path.exists():
        return {}
    try:
        facts: dict[str, Any] = read_json(path)
        for name in FIT_FIGURES:
            float(facts["figures"][name])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: must tell the figures of the fit ({error!r}); run `ofa-hw fit` again") from error
    return facts


def _missing(run: RunFolder, results: RunResults) -> tuple[Missing, ...]:
    of_run = f"--run {shlex.quote(str(run.path))}"
    tables = [str(results.lut.origin)] if results.lut and results.lut.origin else [*map(str, find_tables(run))]
    lut = f"--lut {shlex.quote(tables[0] if tables else str(table_to_make(run)))}"
    # What was imported is trained already, elsewhere.
    is_trained = len(results.phases) or run.supernet_path.exists()
    makers = {
        "training": (is_trained, f"ofa-hw train {of_run} --resume"),
        "evaluated subnets": (len(results.samples), f"ofa-hw sample {of_run}"),
        "accuracy predictor": (results.predictor, f"ofa-hw fit {of_run}"),
        # Where there is no front yet, the search takes the table.
        "latency table": (
            results.lut or (tables and not results.front),
            f"ofa-hw report {of_run} {lut}" if tables else profile_command(run),
        ),
        "front": (results.front, f"ofa-hw search {of_run} {lut}"),
        "verified networks": (len(results.verified), f"ofa-hw verify {of_run} {lut}"),
        "whole networks beside the table": (len(results.whole_nets), f"ofa-hw verify {of_run} {lut}"),
    }
    return tuple(Missing(what=what, command=command) for what, (is_there, command) in makers.items() if not is_there)
