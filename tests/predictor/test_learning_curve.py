"""What more samples would bring."""

import csv

import numpy as np
import pytest

from ofa_hw.errors import InvalidInputError
from ofa_hw.predictor import AccuracyPredictor, learning_curve
from tests.search import example


@pytest.fixture(scope="module")
def fitted():
    return AccuracyPredictor.fit_samples(example.SPACE, example.samples(300), model="ridge", num_folds=5)


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_more_samples_predict_better_and_the_line_through_the_points_goes_on(fitted):
    curve = learning_curve(fitted)
    first, last = curve.points[0], curve.points[-1]
    assert (first.num_samples, last.num_samples) == (20, 240)
    assert first.rmse_points > last.rmse_points
    assert first.kendall_tau < last.kendall_tau
    assert curve.rmse_points(240) == pytest.approx(last.rmse_points, rel=0.2)
    assert np.sqrt(curve.floor) <= curve.rmse_points(10_000) <= curve.rmse_points(240)


def test_the_files_of_the_curve_and_of_held_out_rows_say_what_they_should(fitted, tmp_path):
    curve = learning_curve(fitted)
    fitted.save(tmp_path, curve=curve)
    rows = rows_of(tmp_path / "learning_curve.csv")
    assert [int(row["num_samples"]) for row in rows] == [point.num_samples for point in curve.points]
    assert float(rows[-1]["rmse_points"]) == curve.points[-1].rmse_points
    rows = rows_of(tmp_path / "held_out.csv")
    assert [row["arch_id"] for row in rows] == [sample.arch.arch_id for sample in example.samples(300)]
    inside = [float(row["low"]) <= float(row["top1_measured"]) <= float(row["high"]) for row in rows]
    assert np.mean(inside) == pytest.approx(fitted.figures.coverage_90)
    errors = [float(row["top1_measured"]) - float(row["top1_predicted"]) for row in rows]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(fitted.figures.top1_rmse)


def test_a_new_predictor_takes_the_curve_of_the_one_before_away(fitted, tmp_path):
    fitted.save(tmp_path, curve=learning_curve(fitted))
    fitted.save(tmp_path)
    assert not (tmp_path / "learning_curve.csv").exists()


def test_too_few_rows_have_no_curve():
    fitted = AccuracyPredictor.fit_samples(example.SPACE, example.samples(40), model="ridge")
    with pytest.raises(InvalidInputError, match=r"needs 55 evaluated subnets or more; came 40.*ofa-hw sample"):
        learning_curve(fitted)
