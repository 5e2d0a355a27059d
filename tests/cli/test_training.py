"""`ofa-hw train` and `sample` as a user meets them: faults in one line, Ctrl-C and --resume, the same weights."""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from ofa_hw.cli.main import main
from ofa_hw.cli.train import command as train
from ofa_hw.run import RunFolder
from ofa_hw.space import get_space
from ofa_hw.training import FinetuneConfig
from ofa_hw.training.config import AUGMENTATIONS
from ofa_hw.training.runs import training_config
from ofa_hw.training.schedule import SHRINKING_EPOCHS
from ofa_hw.training.suitability import advice_on_images
from tests.test_docs import check

SHORT = ("train", "--strategy", "progressive-shrinking", "--epochs", "0.6", "--threads", "1", "--batch-size", "32")
"""Fewer images than a phase wants, but every phase."""


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, list(words))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("trained") / "run"
    result = CliRunner().invoke(main, [*SHORT, "--run", str(folder)])
    assert result.exit_code == 0, result.output
    return RunFolder.open(folder)


def one_line_of(result: Result, *, exit_code: int = 1) -> str:
    assert result.exit_code == exit_code, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    assert len(lines) == 1
    return lines[0]


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ofa_hw", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where tests run in the background, Ctrl-C would be ignored from the start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_training_tells_every_phase(trained: RunFolder, invoke: Callable[..., Result]) -> None:
    rows = [json.loads(line) for line in trained.metrics_path.read_text().splitlines()]
    phases = [row["phase"] for row in rows if row["kind"] == "phase_end"]
    assert phases == ["largest", "kernel", "depth-1", "depth-2", "width-1", "width-2"]
    result = invoke("train", "--resume", "--run", str(trained.path), "--json")
    assert [row["phase"] for row in json.loads(result.stdout)["phases"]] == phases


@pytest.mark.parametrize(
    "stops",
    [
        ((signal.SIGINT, "largest"), (signal.SIGKILL, "depth-1")),
        ((signal.SIGKILL, "kernel"), (signal.SIGKILL, "width-2")),
    ],
)
def test_broken_training_resumes_to_the_same_weights(
    trained: RunFolder, tmp_path: Path, stops: tuple[tuple[signal.Signals, str], ...]
) -> None:
    words: tuple[str, ...] = (*SHORT, "--run", "run")
    run = RunFolder(tmp_path / "run")
    for with_signal, phase in stops:
        process = start(tmp_path, *words)
        wait_for_phase(run, phase, process)
        process.send_signal(with_signal)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == (130 if with_signal == signal.SIGINT else -signal.SIGKILL), stderr
        assert ("--resume" in stderr) is (with_signal == signal.SIGINT)
        assert not run.supernet_path.exists()
        words = ("train", "--resume", "--threads", "1", "--run", "run")
    again = start(tmp_path, *words)
    _, stderr = again.communicate(timeout=120)
    assert again.returncode == 0, stderr
    assert run.supernet_path.read_bytes() == trained.supernet_path.read_bytes()
    # What began the run made its files; its resumes tell nothing of how.
    assert [entry.command for entry in run.commands] == [shlex.join(["ofa-hw", *SHORT, "--run", "run"])]


def wait_for_phase(run: RunFolder, phase: str, process: subprocess.Popen[str]) -> None:
    """Wait until the phase before `phase` has its last row."""
    before = {"largest": "", "kernel": "largest", "depth-1": "kernel", "width-2": "width-1"}[phase]
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        written = run.metrics_path.read_text() if run.metrics_path.exists() else None
        if written is not None and (not before or f'"phase_end", "phase": "{before}"' in written):
            return
        time.sleep(0.02)


def test_default_strategy_is_that_of_the_budget_and_the_help_tells_it(invoke: Callable[..., Result]) -> None:
    assert f"progressive-shrinking from {SHRINKING_EPOCHS} epochs on" in " ".join(
        invoke("train", "--help").output.split()
    )
    result = invoke("train", "--epochs", "0.05", "--threads", "1", "--run", "run", "--json")
    assert [phase["phase"] for phase in json.loads(result.stdout)["phases"]] == ["all-at-once"]


def test_samples_are_continued_and_counted_once(trained: RunFolder, invoke: Callable[..., Result]) -> None:
    for num in (2, 4, 3):
        result = invoke("sample", "--num", str(num), "--threads", "1", "--run", str(trained.path), "--json")
        assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["num_samples"] == 4
    ids = [json.dumps(json.loads(line)["arch"]) for line in trained.samples_path.read_text().splitlines()]
    assert len(ids) == len(set(ids)) == 4


def test_samples_of_other_weights_are_refused(
    trained: RunFolder, invoke: Callable[..., Result], tmp_path: Path
) -> None:
    import shutil

    other = Path(shutil.copytree(trained.path, tmp_path / "other"))
    invoke("sample", "--num", "1", "--threads", "1", "--run", str(other))
    samples = (other / "samples.jsonl").read_text()
    (other / "samples.jsonl").write_text(samples.replace('"checkpoint": "', '"checkpoint": "0'))
    assert "samples of other weights" in one_line_of(invoke("sample", "--num", "2", "--run", str(other)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "--data", "nowhere"), "nowhere is not a folder"),
        (("train", "--data", "."), "train must hold one folder of images for each class"),
        (("train", "--space", "nothing"), "no space 'nothing'"),
        (("train", "--resume"), "there is no run below runs/"),
        (("sample", "--run", "runs/none"), "is not a run folder"),
    ],
)
def test_faults_are_told_in_one_line(invoke: Callable[..., Result], words: tuple[str, ...], message: str) -> None:
    assert message in one_line_of(invoke(*words))
    assert not Path("runs").exists()


def test_wrong_flag_is_a_usage_error(invoke: Callable[..., Result]) -> None:
    assert "--epochs" in one_line_of(invoke("train", "--epochs", "-1"), exit_code=2)


def test_run_that_exists_is_not_overwritten(trained: RunFolder, invoke: Callable[..., Result]) -> None:
    before = trained.supernet_path.read_bytes()
    assert "already holds a run" in one_line_of(invoke(*SHORT, "--run", str(trained.path)))
    assert trained.supernet_path.read_bytes() == before


def test_sampling_before_training_names_the_command(
    invoke: Callable[..., Result], trained: RunFolder, tmp_path: Path
) -> None:
    folder = tmp_path / "untrained"
    folder.mkdir()
    (folder / "config.toml").write_text(trained.config_path.read_text())
    assert "ofa-hw train --resume" in one_line_of(invoke("sample", "--run", str(folder)))


def test_weights_of_another_space_are_refused(
    invoke: Callable[..., Result], trained: RunFolder, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    config = trained.config_path.read_text()
    (folder / "config.toml").write_text(config.replace("head_channels = 128", "head_channels = 64"))
    (folder / "supernet.safetensors").write_bytes(trained.supernet_path.read_bytes())
    assert "another space" in one_line_of(invoke("sample", "--run", str(folder)))
    (folder / "supernet.safetensors").write_bytes(trained.supernet_path.read_bytes()[:1000])
    assert "missing or damaged" in one_line_of(invoke("sample", "--run", str(folder)))


def test_images_of_other_classes_are_refused(invoke: Callable[..., Result], trained: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    config = trained.config_path.read_text().replace('"trouser"', '"cap"')
    (tmp_path / "other" / "config.toml").write_text(config)
    assert "has other classes than when" in one_line_of(invoke("train", "--resume", "--run", str(tmp_path / "other")))


def test_full_disk_is_told_and_leaves_nothing_half_written(
    invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ofa_hw import files

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", no_space)
    assert "No space left" in one_line_of(invoke(*SHORT, "--run", "run"))
    assert [path for path in Path("run").rglob("*") if path.is_file()] == []


def test_training_on_a_folder_of_images_takes_their_classes(invoke: Callable[..., Result]) -> None:
    for index, name in enumerate(("cat", "dog", "emu")):
        folder = Path("images") / "train" / name
        folder.mkdir(parents=True)
        for number in range(24):
            Image.new("RGB", (40, 30), (80 * index + number, 40, 200)).save(folder / f"{number}.png")
    result = invoke(
        "train", "--data", "images", "--epochs", "2", "--threads", "1", "--batch-size", "16", "--run", "run"
    )
    assert result.exit_code == 0, result.output
    run = RunFolder.open("run")
    assert run.space.num_classes == 3
    assert run.config["data"]["classes"] == ["cat", "dog", "emu"]


USUAL = (
    "--weight-decay",
    "0.001",
    "--label-smoothing",
    "0",
    "--warm-up",
    "0.2",
    "--augmentation",
    "shift",
    "--lr",
    "0.2",
)


def test_the_usual_options_are_kept_in_the_run_and_by_resume(invoke: Callable[..., Result]) -> None:
    words = ("train", "--epochs", "0.2", "--threads", "1", "--run", "run", *USUAL)
    first = invoke(*words)
    assert first.exit_code == 0, first.output
    assert check.misunderstood(first.stderr.partition("next: ")[2].strip()) is None
    training = training_config(RunFolder.open("run"))
    assert (training.weight_decay, training.label_smoothing) == (0.001, 0.0)
    assert (training.max_shift, training.flip) == (1, False)
    assert [(phase.warmup_fraction, phase.learning_rate) for phase in training.phases] == [(0.2, 0.2)]
    assert FinetuneConfig.like(training).flip is False
    assert FinetuneConfig.like(training).weight_decay == 0.001
    weights = Path("run/supernet.safetensors").read_bytes()
    again = invoke(*words, "--resume")
    assert again.exit_code == 0, again.output
    assert Path("run/supernet.safetensors").read_bytes() == weights
    for option, value in (("--weight-decay", "0.1"), ("--augmentation", "none"), ("--warm-up", "0.1"), ("--lr", "1")):
        told = one_line_of(invoke("train", "--resume", "--run", "run", option, value), exit_code=2)
        assert "a resumed training keeps what run/config.toml says" in told
        assert option.replace("--lr", "--learning-rate") in told


def test_the_augmentations_are_those_of_the_library() -> None:
    option = next(option for option in train.params if option.name == "augmentation")
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == list(AUGMENTATIONS)


def make_photos(folder: Path, *, mode: str = "RGB", size: tuple[int, int] = (32, 40)) -> None:
    for index, name in enumerate(("cat", "dog")):
        (folder / "train" / name).mkdir(parents=True)
        for number in range(20):
            colour = (90 * index + number, 40, 200) if mode == "RGB" else 90 * index + number
            Image.new(mode, size, colour).save(folder / "train" / name / f"{number}.png")


def test_what_a_space_makes_of_photos_is_told_with_what_keeps_them(invoke: Callable[..., Result]) -> None:
    make_photos(Path("my photos"))
    result = invoke("train", "--data", "my photos", "--epochs", "1", "--threads", "1", "--run", "runs/a")
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stderr.splitlines() if "are stored as" in line]
    assert len(lines) == 1
    assert lines[0].startswith("images of my photos (32 px, colour) are stored as 28 px, grey, as the space 'fashion'")
    first, second = lines[0].partition("to keep them: ")[2].split(" && ")
    assert invoke(*shlex.split(first)[1:]).exit_code == 0
    again = invoke(*shlex.split(second)[1:], "--epochs", "1", "--threads", "1", "--run", "runs/b")
    assert again.exit_code == 0, again.output
    assert "are stored as" not in again.stderr
    assert (RunFolder.open("runs/b").space.in_channels, RunFolder.open("runs/b").space.resolutions[-1]) == (3, 32)


@pytest.mark.parametrize(
    ("mode", "size", "told"),
    [
        ("L", (28, 30), None),
        ("L", (40, 40), "(40 px, grey) are stored as 28 px, grey"),
        ("L", (400, 400), "(400 px, grey) are stored as 28 px, grey"),
        ("RGB", (400, 500), "--size 224 --channels 3"),
    ],
)
def test_advice_is_given_where_something_is_lost(
    mode: str, size: tuple[int, int], told: str | None, tmp_path: Path
) -> None:
    make_photos(tmp_path, mode=mode, size=size)
    advice = advice_on_images(tmp_path, get_space("fashion"))
    assert (advice is None) if told is None else (advice is not None and told in advice)
    assert advice is None or ("space new" in advice) is (size != (400, 400))
