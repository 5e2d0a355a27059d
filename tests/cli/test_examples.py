"""Examples of the help that take seconds are run as they stand, in a folder that holds what they name.

The others train, measure or need a file from elsewhere: test_tutorial.py runs them with less of everything.
"""

import json
import shlex

import pytest
from click.testing import CliRunner

from ofa_hw.cli.main import main
from tests.lut.example import table
from tests.report.synthetic_run import make_synthetic_run
from tests.test_docs import check

SLOW = {
    "demo", "train", "import-checkpoint", "data", "sample", "profile", "calibrate", "verify", "finetune", "export",
    "bench", "devices", "doctor", "lut import", "predict",
}  # fmt: skip
LESS = {
    "ofa-hw search": "ofa-hw search --evaluations 500",
    "--model mlp": "--model ridge",
    "--samples measured.csv": "--samples measured.csv --model ridge",
}

MEASURED = [
    f"{'-'.join('7' * 20)},{'-'.join('6' * 20)},{a}-{b}-{c}-4-4,224"
    for a in (2, 3, 4)
    for b in (2, 3, 4)
    for c in (2, 3)
]


def quick_examples():
    for words, command in check.every_command():
        text = (command.help or "").replace("\b", "").partition("Example")[2]
        if words[0] not in SLOW and " ".join(words) not in SLOW:
            yield from check.command_lines(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    for device in ("host", "host-ort", "pixel", "note10"):
        path = folder / "lut" / f"{device}.csv"
        table().write(path)
        path.write_text(path.read_text().replace("example", device))
    for name in ("demo", "mine"):
        make_synthetic_run(folder / "runs" / name, num_samples=60)
    measured = (f"{top1},{row}" for top1, row in enumerate(MEASURED, start=60))
    (folder / "measured.csv").write_text("top1,ks,e,d,r\n" + "\n".join(measured))
    return folder


def with_less(line):
    for words, less in LESS.items():
        line = line.replace(words, less)
    return line


def test_a_table_is_validated_for_a_script(folder):
    path = folder / "lut" / "host.csv"
    result = CliRunner().invoke(main, ["lut", "validate", str(path), "--json"], catch_exceptions=False)
    told = json.loads(result.stdout)
    assert [(row["device"], row["blocks"]) for row in told] == [("host", len(table().measurements))]


def test_every_quick_example_of_the_help_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    lines = list(dict.fromkeys(quick_examples()))
    assert len(lines) >= 10
    for line in map(with_less, lines):
        result = CliRunner().invoke(main, shlex.split(line)[1:], catch_exceptions=False)
        assert result.exit_code == 0, f"{line}\n{result.output}"
    assert (folder / "runs" / "mine" / "pareto-pixel.csv").exists()
    assert (folder / "report.html").stat().st_size < 2_000_000
