"""The accuracy predictor: fitted, saved, loaded, and honest about its errors."""

import contextlib
import hashlib
import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save
from scipy.stats import kendalltau

from ofa_hw import files
from ofa_hw.errors import InvalidInputError, RunError
from ofa_hw.predictor import AccuracyPredictor, EvaluatedArch, LearningCurve
from ofa_hw.predictor.accuracy import as_fractions
from ofa_hw.predictor.encoding import encode_features
from ofa_hw.predictor.models import MODELS
from ofa_hw.predictor.trees import TreeEnsemble
from ofa_hw.space import get_space

SPACE = get_space("fashion")


def synthetic(num, seed=0, noise=0.0):
    """Architectures with a top-1 that grows with every choice and saturates with depth."""
    rng = np.random.default_rng(seed)
    genes = SPACE.sample_genes(num, rng)
    size = genes.sum(axis=1) / SPACE.num_genes
    return SPACE.decode(genes), 0.8 + 0.1 * np.tanh(2 * size) + rng.normal(0, noise, num)


def samples_of(num, seed=0):
    archs, quality = synthetic(num, seed)
    rng = np.random.default_rng(seed + 1)
    return [
        EvaluatedArch(
            arch=arch,
            top1=float(round((value + rng.normal(0, 0.01)) * 800) / 800),
            mean_true_prob=float(0.9 * value + rng.normal(0, 0.001)),
            mean_log_likelihood=float(-2 * (1 - value) + rng.normal(0, 0.01)),
            num_images=800,
            checkpoint="c",
        )
        for arch, value in zip(archs, quality, strict=True)
    ]


@pytest.fixture(scope="module")
def fitted():
    archs, top1 = synthetic(150)
    return {name: AccuracyPredictor.fit(SPACE, archs, top1, model=name, num_folds=3) for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_ranks_unseen_architectures(fitted, name):
    archs, top1 = synthetic(200, seed=7)
    mean, std = fitted[name].predict(SPACE.encode(archs))
    assert kendalltau(mean, top1).statistic > 0.75
    assert mean.shape == std.shape == (200,)
    assert (std > 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_predictor_predicts_the_same_to_the_bit(fitted, name, tmp_path):
    genes = SPACE.sample_genes(50, np.random.default_rng(3))
    fitted[name].save(tmp_path)
    loaded = AccuracyPredictor.load(tmp_path)
    assert loaded.space == SPACE
    assert loaded.figures == fitted[name].figures
    for mine, its in zip(fitted[name].predict(genes), loaded.predict(genes), strict=True):
        np.testing.assert_array_equal(mine, its)


@pytest.mark.parametrize("name", MODELS)
def test_the_same_seed_fits_the_same_model(fitted, name):
    archs, top1 = synthetic(150)
    again = AccuracyPredictor.fit(SPACE, archs, top1, model=name, num_folds=3)
    genes = SPACE.sample_genes(50, np.random.default_rng(3))
    np.testing.assert_array_equal(again.predict(genes)[0], fitted[name].predict(genes)[0])


def test_auto_takes_the_model_that_ranks_held_out_rows_best(fitted):
    archs, top1 = synthetic(150)
    chosen = AccuracyPredictor.fit(SPACE, archs, top1, model="auto", num_folds=3)
    assert chosen.figures.kendall_tau == max(predictor.figures.kendall_tau for predictor in fitted.values())


def test_intervals_hold_what_was_not_seen():
    archs, top1 = synthetic(400, noise=0.01)
    predictor = AccuracyPredictor.fit(SPACE, archs, top1, model="ridge")
    archs, top1 = synthetic(2000, seed=9, noise=0.01)
    for coverage in (0.5, 0.9):
        low, high = predictor.interval(SPACE.encode(archs), coverage)
        assert abs(((low <= top1) & (top1 <= high)).mean() - coverage) < 0.05
    mean, std = predictor.predict(SPACE.encode(archs))
    assert abs((np.abs(top1 - mean) <= 1.645 * std).mean() - 0.9) < 0.05


def test_predictions_beyond_what_a_share_can_be_are_shares_and_keep_their_order(tmp_path):
    genes = SPACE.sample_genes(400, np.random.default_rng(0))
    size = genes.sum(axis=1) / genes.sum(axis=1).mean()
    top1 = np.clip(size - 0.3, 0, 1)  # a line through these is above 1 and below 0
    predictor = AccuracyPredictor.fit(SPACE, SPACE.decode(genes), top1, model="ridge")
    ends = SPACE.encode([SPACE.smallest, SPACE.largest])
    genes = np.concatenate([ends, genes])
    raw = predictor.regression.predict_mean(encode_features(SPACE, genes))
    assert raw.min() < 0
    assert raw.max() > 1
    mean, _ = predictor.predict(genes)
    low, high = predictor.interval(genes)
    assert ((low >= 0) & (low <= mean) & (mean <= high) & (high <= 1)).all()
    assert (np.argsort(mean) == np.argsort(raw)).all()
    assert len(np.unique(mean)) == len(np.unique(raw))
    within = (raw > 0.001) & (raw < 0.999)
    np.testing.assert_array_equal(mean[within], raw[within])
    np.testing.assert_array_equal(predictor.predict_top1(genes), mean)
    predictor.save(tmp_path)
    held_out = np.loadtxt(tmp_path / "held_out.csv", delimiter=",", skiprows=1, usecols=(2, 3, 4))
    assert held_out.min() == 0
    assert held_out.max() == 1


@given(st.floats(-5, 5), st.floats(1e-6, 1))
def test_fractions_rise_with_what_they_are_made_of(value, step):
    one, other = as_fractions(np.array([value, value + step]))
    assert 0 < one < other < 1


def test_a_soft_score_keeps_its_order_and_speaks_of_top1():
    samples = samples_of(150)
    predictor = AccuracyPredictor.fit_samples(SPACE, samples, model="ridge")
    archs, quality = synthetic(500, seed=5)
    genes = SPACE.encode(archs)
    mean, _ = predictor.predict(genes)
    assert predictor.score != "top1"
    assert abs(mean - quality).mean() < 0.01
    assert kendalltau(mean, quality).statistic > 0.8
    on_top1 = AccuracyPredictor.fit_samples(SPACE, samples, model="ridge", score="top1")
    assert kendalltau(mean, quality).statistic > kendalltau(on_top1.predict(genes)[0], quality).statistic


def test_a_choice_that_was_never_seen_changes_nothing():
    archs, top1 = synthetic(150)
    space = get_space("fashion")
    genes = space.encode(archs)
    genes[:, 0] = 1
    predictor = AccuracyPredictor.fit(space, space.decode(genes), top1, num_folds=3)
    other = genes.copy()
    other[:, 0] = 2
    np.testing.assert_allclose(predictor.predict(other)[0], predictor.predict(genes)[0], atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 75.4])
def test_top1_that_is_no_fraction_is_refused(value):
    archs, top1 = synthetic(20)
    top1[3] = value
    with pytest.raises(InvalidInputError, match=r"fractions from 0 to 1.*row 3"):
        AccuracyPredictor.fit(SPACE, archs, top1)


def test_too_few_rows_an_unknown_model_and_an_unknown_score_are_refused():
    archs, top1 = synthetic(20)
    with pytest.raises(InvalidInputError, match="10 evaluated subnets or more; came 9"):
        AccuracyPredictor.fit(SPACE, archs[:9], top1[:9])
    with pytest.raises(InvalidInputError, match="mlp, gbdt, ridge or auto; came 'svm'"):
        AccuracyPredictor.fit(SPACE, archs, top1, model="svm")
    with pytest.raises(InvalidInputError, match=r"mean_true_prob.*came 'loss'"):
        AccuracyPredictor.fit_samples(SPACE, samples_of(20), score="loss")
    with pytest.raises(InvalidInputError, match="one value for each of 20"):
        AccuracyPredictor.fit(SPACE, archs, top1[:5])


def test_genes_of_another_space_are_refused(fitted):
    with pytest.raises(InvalidInputError, match="fashion"):
        fitted["ridge"].predict(np.zeros((2, 46), dtype=np.int8))


class KilledError(BaseException):
    """Stands for a kill, after which nothing is tidied."""


def kill_at(monkeypatch, num_calls):
    """Let `num_calls` calls of the system that write or rename pass, and none after them."""
    left = iter(range(num_calls))

    def watched(original):
        def call(*arguments):
            if next(left, None) is None:
                raise KilledError
            return original(*arguments)

        return call

    for name in ("replace", "rename", "fsync", "chmod"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))


@pytest.mark.parametrize("can_exchange", [True, False])
def test_refit_that_is_killed_at_any_write_leaves_one_whole_predictor(fitted, tmp_path, monkeypatch, can_exchange):
    monkeypatch.setattr(files.shutil, "rmtree", lambda *_, **__: None)
    if not can_exchange:
        monkeypatch.setattr(files.ctypes, "CDLL", lambda _: None)
    models = []
    for num_calls in range(20):
        folder = tmp_path / str(num_calls) / "predictor"
        fitted["mlp"].save(folder, curve=LearningCurve(points=(), floor=0.0, slope=1.0))
        with monkeypatch.context() as patch, contextlib.suppress(KilledError):
            kill_at(patch, num_calls)
            fitted["ridge"].save(folder)
        if folder.exists():
            models.append(AccuracyPredictor.load(folder).model_name)
            assert (folder / "learning_curve.csv").exists() is (models[-1] == "mlp")
        else:
            assert not can_exchange  # between two renames it is absent, and made again
    assert models == sorted(models)  # the one before, then the new one
    assert {models[0], models[-1]} == {"mlp", "ridge"}


def test_folder_with_other_files_is_not_replaced(fitted, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"nothing but a predictor.* it has thesis\.tex"):
        fitted["ridge"].save(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


# ------------------------------------------------------------------------------------------------- damaged folders


def test_a_missing_predictor_names_the_command(tmp_path):
    with pytest.raises(RunError, match="ofa-hw fit"):
        AccuracyPredictor.load(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [("predictor.json", b"{"), ("predictor.json", b"[]"), ("arrays.safetensors", b"cut"), ("arrays.safetensors", None)],
)
def test_a_damaged_folder_is_refused_in_one_line(fitted, tmp_path, file, content):
    fitted["ridge"].save(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(RunError, match="fit again") as caught:
        AccuracyPredictor.load(tmp_path)
    assert "\n" not in str(caught.value)


def edit(folder, **changes):
    path = folder / "predictor.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def as_of_schema_2(folder, content):
    """Make of a folder of trees one of schema 2, whose archive of skops holds `content`."""
    facts = json.loads((folder / "predictor.json").read_text())
    (folder / "trees.skops").write_bytes(content)
    digests = facts["sha256"] | {"trees.skops": hashlib.sha256(content).hexdigest()}
    edit(folder, schema_version=2, sha256=digests, versions=facts["versions"] | {"skops": "0.16"})


def test_another_schema_and_another_scikit_learn_say_to_refit(fitted, tmp_path):
    fitted["gbdt"].save(tmp_path)
    as_of_schema_2(tmp_path, b"")
    edit(tmp_path, versions={"numpy": "1.26", "scikit-learn": "0.24.2", "skops": "0.9"})
    with pytest.raises(RunError, match=r"scikit-learn 0.24.2.*ofa-hw fit --model gbdt"):
        AccuracyPredictor.load(tmp_path)
    edit(tmp_path, schema_version=99)
    with pytest.raises(RunError, match="schema version 99"):
        AccuracyPredictor.load(tmp_path)


def test_plain_trees_say_what_scikit_learn_says():
    from sklearn.ensemble import HistGradientBoostingRegressor

    rng = np.random.default_rng(0)
    rows, target = rng.integers(0, 2, (700, 30)).astype(np.float32), rng.random(700)
    members = [HistGradientBoostingRegressor(max_iter=50, random_state=i).fit(rows, target) for i in range(3)]
    mean, std = TreeEnsemble.of_members(members).predict(rows)
    told = np.stack([member.predict(rows) for member in members])
    np.testing.assert_allclose(mean, told.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(std, told.std(axis=0), rtol=1e-9, atol=1e-15)


def craft(folder, **arrays):
    """Replace arrays of a predictor such that the hashes are those of the files."""
    path = folder / "arrays.safetensors"
    known = load_file(path)
    content = save({**known, **{name: change(known[name]) for name, change in arrays.items()}})
    path.write_bytes(content)
    edit(folder, sha256={"arrays.safetensors": hashlib.sha256(content).hexdigest()})


@pytest.mark.parametrize(
    ("model", "name", "change", "message"),
    [
        ("gbdt", "model.left", lambda a: np.full_like(a, 2**31 - 1), "left of the trees must be indices below"),
        ("gbdt", "model.left", np.zeros_like, "at most 64 deep"),
        ("gbdt", "model.right", lambda a: a[:-1], "right of the trees must be"),
        ("gbdt", "model.feature", lambda a: np.full_like(a, 10**6), "must look at features below"),
        ("gbdt", "model.feature", lambda a: np.full_like(a, -1), "must look at features below"),
        ("gbdt", "model.value", lambda a: np.full_like(a, np.nan), "must hold finite numbers"),
        ("gbdt", "model.roots", lambda a: a[:, :0].copy(), "roots must be"),
        ("ridge", "model.weights", lambda a: a[:-1], "does not describe a predictor"),
        ("ridge", "model.scalars", lambda a: np.full_like(a, np.inf), "must hold finite numbers"),
        ("ridge", "errors.ratios", lambda a: a[:0], "errors of held-out ones"),
        ("ridge", "held_out.predicted", lambda a: a[:-1], "held_out.predicted must be"),
        ("ridge", "rows.genes", lambda a: np.full_like(a, 99), "must be indices below"),
        ("ridge", "rows.genes", lambda a: a[:, :-1].copy(), "genes of"),
        ("mlp", "model.layer0.weight", lambda a: a[:, :-1].copy(), "does not describe a predictor"),
        ("mlp", "model.layer1.weight", lambda a: a[0], "does not describe a predictor"),
        ("mlp", "model.scaling", lambda a: a[:1], "does not describe a predictor"),
    ],
)
def test_a_crafted_predictor_is_refused_in_one_line(fitted, tmp_path, model, name, change, message):
    fitted[model].save(tmp_path)
    craft(tmp_path, **{name: change})
    with pytest.raises(RunError, match=message) as caught:
        AccuracyPredictor.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_trees_with_an_unknown_type_are_refused_unbuilt(fitted, tmp_path):
    import skops.io
    from sklearn.base import BaseEstimator

    class Intruder(BaseEstimator):
        pass

    Intruder.__module__ = "intruder"
    import sys
    import types

    sys.modules["intruder"] = types.ModuleType("intruder")
    sys.modules["intruder"].Intruder = Intruder
    try:
        fitted["gbdt"].save(tmp_path)
        content = skops.io.dumps([Intruder()])
    finally:
        del sys.modules["intruder"]
    as_of_schema_2(tmp_path, content)
    with pytest.raises(RunError, match=r"intruder\.\w*Intruder"):
        AccuracyPredictor.load(tmp_path)


def test_damaged_trees_are_refused(fitted, tmp_path):
    import skops.io
    from sklearn.dummy import DummyRegressor

    fitted["gbdt"].save(tmp_path)
    content = skops.io.dumps([DummyRegressor()])
    for damaged in (content, content[:1000], b""):
        as_of_schema_2(tmp_path, damaged)
        with pytest.raises(RunError, match="cannot be read"):
            AccuracyPredictor.load(tmp_path)
