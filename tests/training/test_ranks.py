"""Several processes train what one trains, and none of them waits for the dead."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ofa_hw.errors import RunError
from ofa_hw.run import RunFolder
from ofa_hw.training import ranks as ranks_module
from ofa_hw.training.batches import CPU
from ofa_hw.training.ranks import Ranks, join_ranks

ROOT = Path(__file__).parents[2]


def start(num: int, *words: str) -> list[subprocess.Popen[str]]:
    """Start `num` processes of one training, as torchrun would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(num),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    return [
        subprocess.Popen(
            [sys.executable, "-m", *words],
            env=os.environ | shared | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(num)
    ]


def results(folder: Path) -> tuple[list[float], list[float], dict[str, torch.Tensor]]:
    run = RunFolder(folder)
    rows = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    losses = [row["loss"] for row in rows if row["kind"] == "step"]
    return losses, json.loads((folder / "samples.json").read_text()), load_file(run.supernet_path)


def test_two_processes_train_and_judge_as_one_does(tmp_path: Path) -> None:
    processes = [process for num in (1, 2) for process in start(num, "tests.training.rank", str(tmp_path / str(num)))]
    for process in processes:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    (losses, samples, weights), (of_two, samples_of_two, weights_of_two) = (
        results(tmp_path / num) for num in ("1", "2")
    )
    assert len(losses) >= 20
    assert losses[:20] == pytest.approx(of_two[:20], rel=1e-5)
    assert samples == pytest.approx(samples_of_two, abs=1e-4)
    for key, tensor in weights.items():
        torch.testing.assert_close(weights_of_two[key], tensor, rtol=1e-4, atol=1e-4, msg=key)


def test_no_process_goes_on_from_a_rollback_before_all_have_read(tmp_path: Path) -> None:
    for process in start(2, "tests.training.rank", str(tmp_path), "rollback"):
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    healths = [json.loads((tmp_path / f"health-{rank}.json").read_text()) for rank in (0, 1)]
    assert [health["rate_factor"] for health in healths] == [0.5, 0.5]
    assert healths[0] == healths[1]


def test_process_whose_fellow_dies_ends_with_one_line(tmp_path: Path) -> None:
    survivor, victim = start(2, "tests.training.rank", str(tmp_path))
    assert survivor.stdout is not None
    assert victim.stdout is not None
    assert "at work" in victim.stdout.readline()
    victim.send_signal(signal.SIGKILL)
    _, stderr = survivor.communicate(timeout=60)
    victim.communicate()
    assert survivor.returncode == 1
    lines = [line for line in stderr.splitlines() if line.startswith("Error")]
    assert len(lines) == 1
    assert "one has ended" in lines[0]
    assert "Traceback" not in stderr
    assert not RunFolder(tmp_path).supernet_path.exists()


def test_more_processes_than_cores_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks_module, "available_cores", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with (
        pytest.raises(RunError, match=r"no more than its cores, 2; came 3; start fewer by --nproc-per-node 2"),
        join_ranks(),
    ):
        pass


def test_parts_of_a_batch_are_the_batch() -> None:
    parts = [Ranks(rank=rank, size=4).part_of(12) for rank in range(4)]
    assert [index for part in parts for index in range(12)[part]] == list(range(12))
    assert Ranks().device == CPU
    with pytest.raises(RunError, match="12 images must be divided by the number of processes, which is 5"):
        Ranks(size=5).part_of(12)
