"""Every hint is a command that works as it stands: they are collected from what the commands print, and run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from ofa_hw.cli.main import main
from ofa_hw.nn import Supernet
from ofa_hw.predictor import write_samples
from ofa_hw.run import RunFolder
from ofa_hw.space import get_space
from ofa_hw.training import create_run, progressive_shrinking
from ofa_hw.training.checkpoint import save_weights
from tests.profiling.fake import FakeProfiler
from tests.search import example

Invoke = Callable[..., Result]
BUDGETS = {
    "sample": ["--num", "4", "--threads", "1"],
    "fit": ["--model", "ridge"],
    "search": ["--evaluations", "500"],
    "verify": ["--num", "1", "--num-random", "1", "--finetune-images", "32", "--threads", "1"],
    "finetune": ["--images", "32", "--threads", "1"],
}
"""What is written behind a hint, so that it takes seconds."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run in a folder of an awkward name, whose supernet is as it was initialised."""
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ofa_hw.plugins.get_profiler", lambda *_: FakeProfiler(noise=0.0))
    Path("ofa-hw.toml").write_text('[devices.fake]\nruntime = "tflite"\n')
    space = get_space("fashion")
    run = create_run(
        Path("runs") / "my first",
        space=space,
        data="fashion-mnist-5000",
        schedule=lambda num: progressive_shrinking(space, num_images=num),
    )
    net = Supernet(run.space, generator=torch.Generator().manual_seed(0))
    save_weights(run.supernet_path, net.state_dict(), {})
    return run


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def hints_of(result: Result) -> list[str]:
    """The commands that a result names: behind next:, behind what is missing, and in errors."""
    told = re.findall(r"(?:next|yet): (ofa-hw .+)$", result.stderr, flags=re.MULTILINE)
    return told + re.findall(r"`(ofa-hw [^`]+)`", result.stderr)


def follow(hint: str) -> Result:
    """Run a hint, and the hints of what it lacks before it."""
    words = shlex.split(hint)[1:]
    result = call(*words, *BUDGETS.get(words[0], []))
    assert result.exit_code == 0, f"{hint}\n{result.output}"
    return result


def test_errors_name_commands_that_mend_them(run: RunFolder) -> None:
    (sample,) = hints_of(call("fit", "--run", run.path))
    assert shlex.split(sample)[:2] == ["ofa-hw", "sample"]
    follow(sample)
    write_samples(run.samples_path, example.samples())
    (profile,) = hints_of(call("search", "--run", run.path))
    assert shlex.split(profile)[:2] == ["ofa-hw", "profile"]
    follow(profile)
    (fit,) = hints_of(call("search", "--run", run.path))
    follow(fit)
    (search,) = hints_of(call("verify", "--run", run.path))
    follow(search)
    run.front_path.write_text("arch_id\nbroken\n")
    result = call("verify", "--run", run.path)
    assert result.exit_code == 1
    (again,) = hints_of(result)
    follow(again)
    assert not hints_of(call("export", "--run", run.path, "--pick", "1", "--out", "net.onnx"))


def test_what_each_command_says_comes_next_does(run: RunFolder) -> None:
    write_samples(run.samples_path, example.samples())
    (profile,) = hints_of(call("fit", "--run", run.path, "--model", "ridge"))
    follow(profile)
    (search,) = hints_of(call("fit", "--run", run.path, "--model", "ridge"))
    (verify,) = hints_of(follow(search))
    assert "--lut lut/host.csv" in verify
    (report,) = hints_of(follow(verify))
    for missing in hints_of(follow(report)):
        assert "train" in missing or follow(missing)
    arch_id = example.samples()[3].arch.arch_id
    (export,) = hints_of(call("finetune", "--run", run.path, "--arch", arch_id[:6], *BUDGETS["finetune"]))
    follow(export)
    assert (run.exported_path / f"{arch_id}.tflite").exists()


def test_what_a_report_misses_can_be_made_as_it_says(run: RunFolder) -> None:
    write_samples(run.samples_path, example.samples())
    followed = []
    while hints := hints_of(call("report", "--run", run.path)):
        assert len(followed) < 5, followed
        followed.append(shlex.split(hints[0])[1])
        follow(hints[0])
    assert followed == ["fit", "profile", "search", "verify"]
