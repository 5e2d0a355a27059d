"""The tutorial, every command and every line of Python of it, with less of everything."""

import shlex
from pathlib import Path

from click.testing import CliRunner

from ofa_hw.cli.main import main
from tests.test_docs import ROOT, check

TUTORIAL = ROOT / "docs" / "tutorial.md"
LESS = {
    "--epochs 60": "--epochs 0.2",
    "--num 300": "--num 12",
    "--max-seconds 60": "--max-seconds 3",
    "--num-fit 20 --num-held-out 20": "--num-fit 6 --num-held-out 4 --max-seconds 2",
    "--finetune-images 30000": "--finetune-images 500 --num-random 3 --max-seconds 2",
    "ofa-hw search": "ofa-hw search --evaluations 1000",
}


def test_the_tutorial_runs_from_its_first_line_to_its_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = TUTORIAL.read_text()
    assert all(words in text for words in LESS)
    for language, block in check.FENCE.findall(text):
        if language == "sh":
            for line in check.command_lines(block):
                run_with_less(line)
        if language == "python":
            exec(compile(block, str(TUTORIAL), "exec"), {"__name__": "snippet"})
    assert Path("runs/tutorial/report.html").exists()
    assert list(Path("runs/tutorial/exported").glob("*.tflite"))


def run_with_less(line: str) -> None:
    for words, less in LESS.items():
        line = line.replace(words, less)
    result = CliRunner().invoke(main, shlex.split(line)[1:], catch_exceptions=False)
    assert result.exit_code == 0, f"{line}\n{result.output}"
