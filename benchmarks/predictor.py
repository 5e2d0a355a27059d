"""How well the predictor ranks networks that it has not seen, on accuracies that others measured.

OFA-MobileNetV3 at 224 px (IntelLabs/DyNAS-T, 1,163 rows, equal networks always on one side of a split) and the
MnasNet space of Accel-NASBench (5,138 rows, plain categorical genes). Kendall's tau and RMSE are means over folds or
over draws; coverage is the share of unseen rows inside the 90 % interval. The data lie in ../shared/data.

    python -m benchmarks.predictor
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from pathlib import Path  # noqa: E402

import click  # noqa: E402
import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402
import pandas as pd  # noqa: E402
from scipy.stats import kendalltau  # noqa: E402

from benchmarks.note import write_note  # noqa: E402
from ofa_hw.predictor import AccuracyPredictor, CategoricalPredictor  # noqa: E402
from ofa_hw.predictor.validation import assign_folds  # noqa: E402
from ofa_hw.space import ArchConfig, get_space  # noqa: E402

DATA = Path(__file__).parents[2] / "shared/data/accuracy"
SPACE = get_space("ofa-mobilenetv3-w1.0")
COLUMNS = ("rows to learn from", "model", "Kendall tau", "RMSE, points", "90 % intervals hold", "at least")
Floats = npt.NDArray[np.float64]


@click.command()
@click.option("--num-draws", default=5, show_default=True, help="Draws of 200 rows.")
def main(num_draws: int) -> None:
    """Print the figures of each model, and write the note."""
    archs, top1 = read_ofa_accuracies()
    genes = SPACE.encode(archs)
    rows = []
    folds = assign_folds(genes, 5, seed=0)
    draws = [np.random.default_rng(seed).permutation(len(top1)) for seed in range(num_draws)]
    for model in ("mlp", "gbdt", "ridge"):
        whole = [_judge(genes, top1, folds != fold, folds == fold, model) for fold in range(5)]
        rows.append(_row("OFA-MobileNetV3, four fifths of 1,163", model, whole, "tau 0.93, RMSE 0.15"))
    for model in ("mlp", "gbdt", "ridge"):
        few = [_judge(genes, top1, draw[:200], _unlike(genes, draw[:200]), model) for draw in draws]
        rows.append(_row("OFA-MobileNetV3, 200", model, few, "tau 0.89"))
    for model in ("mlp", "gbdt", "ridge"):
        rows.append(_row("Accel-NASBench, four fifths of 5,138", model, [_judge_accel(model)], "tau 0.92"))
    write_note("predictor", __doc__ or "", COLUMNS, rows)


def read_ofa_accuracies() -> tuple[list[ArchConfig], Floats]:
    """Return the networks and their top-1 fractions."""
    table = pd.read_csv(DATA / "ofa_mbv3_w1.0_imagenet_top1.csv.gz")
    archs = [
        ArchConfig.from_ofa(ks=_numbers(ks), e=_numbers(e), d=_numbers(d), resolution=int(r))
        for ks, e, d, r in zip(table["ks"], table["e"], table["d"], table["r"], strict=True)
    ]
    return archs, table["top1"].to_numpy(np.float64) / 100


def read_accel_nasbench() -> tuple[tuple[int, ...], npt.NDArray[np.int8], Floats]:
    """Return the choices of each gene, the genes, and top-1 in points."""
    table = pd.read_csv(DATA / "accel_nasbench_mnasnet_imagenet_6accel.csv.gz")
    columns = [np.array([_numbers(text) for text in table[name]]) for name in ("e", "k", "l", "se")]
    values = np.concatenate(columns, axis=1)
    genes = [np.unique(column, return_inverse=True) for column in values.T]
    num_choices = tuple(len(choices) for choices, _ in genes)
    return num_choices, np.stack([index for _, index in genes], axis=1).astype(np.int8), table["val_top1"].to_numpy()


def _judge(genes: npt.NDArray[np.int8], top1: Floats, shown: Floats, hidden: Floats, model: str) -> Floats:
    """Return tau, RMSE in points and coverage on the rows `hidden` of a predictor of the rows `shown`."""
    predictor = AccuracyPredictor.fit(SPACE, SPACE.decode(genes[shown]), top1[shown], model=model)
    low, high = predictor.interval(genes[hidden])
    return _figures(predictor.predict_top1(genes[hidden]), low, high, top1[hidden], 100)


def _judge_accel(model: str) -> Floats:
    num_choices, genes, top1 = read_accel_nasbench()
    order = np.random.default_rng(0).permutation(len(genes))
    shown, hidden = np.split(order, [len(order) * 4 // 5])
    predictor = CategoricalPredictor.fit(num_choices, genes[shown], top1[shown], model=model, num_folds=5)
    low, high = predictor.interval(genes[hidden])
    return _figures(predictor.predict(genes[hidden])[0], low, high, top1[hidden], 1)


def _figures(predicted: Floats, low: Floats, high: Floats, truth: Floats, points: float) -> Floats:
    tau = kendalltau(predicted, truth).statistic
    rmse = points * np.sqrt(np.mean((predicted - truth) ** 2))
    return np.array([tau, rmse, ((low <= truth) & (truth <= high)).mean()])


def _row(what: str, model: str, figures: list[Floats], wanted: str) -> tuple[str, ...]:
    tau, rmse, coverage = np.mean(figures, axis=0)
    return what, model, f"{tau:.3f}", f"{rmse:.3f}", f"{100 * coverage:.1f} %", wanted


def _unlike(genes: npt.NDArray[np.int8], shown: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return True for each row whose network is not among the rows `shown`."""
    known = {genes[row].tobytes() for row in shown}
    return np.array([row.tobytes() not in known for row in genes])


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split("-")]


if __name__ == "__main__":
    main()
