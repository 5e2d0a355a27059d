"""A stage of the demo that was killed is not taken for done."""

from __future__ import annotations

from pathlib import Path

import pytest

from ofa_hw import demo
from ofa_hw.demo import DemoConfig
from ofa_hw.plugins import find_device
from ofa_hw.predictor import AccuracyPredictor
from ofa_hw.progress import no_progress
from ofa_hw.report.figures import noted_figures
from tests.profiling.fake import FakeProfiler
from tests.search import example


class KilledError(BaseException):
    """Stands for a kill."""


def test_predictor_is_there_only_when_its_figure_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example.run(tmp_path, fitted=False)
    stages = demo._Demo(tmp_path, DemoConfig(), find_device("host"), FakeProfiler(), no_progress)
    predictor = example.predictor()
    monkeypatch.setattr(AccuracyPredictor, "fit_samples", lambda *_, **__: predictor)

    def die(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(demo, "note_figure", die)
        with pytest.raises(KilledError):
            stages.fit()
    assert not stages.run.predictor_path.exists()
    with monkeypatch.context() as patch:
        patch.setattr(AccuracyPredictor, "save", die)
        with pytest.raises(KilledError):
            stages.fit()
    assert not stages.run.predictor_path.exists()
    stages.fit()
    assert stages.run.predictor_path.exists()
    assert [figure.name for figure in noted_figures(tmp_path)] == ["predictor_soft_kendall_tau"]
