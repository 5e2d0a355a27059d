"""A few damaged files of each kind; `python -m tests.fuzz --cases 7500` is the long run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.fuzz.cases import READ, REFUSED, files_of, read_file, run_case
from tests.fuzz.kinds import KINDS, prepare

QUICK = [name for name in KINDS if name != "trees of before"]
REFUSED_WHOLE = {"published/whole-keys.pth"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return prepare(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", QUICK)
def test_whole_files_are_read(folder: Path, name: str) -> None:
    for path in files_of(KINDS[name], folder)[:20]:
        wanted = REFUSED if path.relative_to(folder).as_posix() in REFUSED_WHOLE else READ
        assert read_file(KINDS[name], path)[0] == wanted, path


@pytest.mark.parametrize("name", QUICK)
def test_damaged_files_are_read_or_refused_in_one_line(folder: Path, name: str) -> None:
    for seed in range(8):
        outcome = run_case(name, seed, folder)
        assert outcome.result in (READ, REFUSED), outcome
