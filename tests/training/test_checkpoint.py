"""Weights whose bytes have changed are not used."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ofa_hw.errors import RunError
from ofa_hw.training.checkpoint import (
    Checkpoint,
    Position,
    read_last_checkpoint,
    read_weights,
    save_weights,
    write_checkpoint,
)

STATE = {
    "a": torch.arange(600, dtype=torch.float32).reshape(20, 30),
    "b": torch.tensor(3),
    "c": torch.ones(4, 3, 2, 2).to(memory_format=torch.channels_last),
}


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_flipped_bit_of_weights_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "supernet.safetensors"
    save_weights(path, STATE, {"config": "x"})
    content = path.read_bytes()
    assert all(torch.equal(tensor, STATE[key]) for key, tensor in read_weights(path, STATE).items())
    rng = random.Random(0)
    for _ in range(72):
        path.write_bytes(flipped(content, rng.randrange(8 * len(content))))
        with pytest.raises(RunError, match=r"supernet\.safetensors is missing or damaged"):
            read_weights(path, STATE)


def test_every_flipped_bit_of_a_checkpoint_is_seen(tmp_path: Path) -> None:
    checkpoint = Checkpoint(position=Position(phase=1, step=20, num_rows=3), config="x", tensors=STATE)
    path = write_checkpoint(tmp_path, checkpoint)
    content = path.read_bytes()
    assert read_last_checkpoint(tmp_path).position == checkpoint.position
    rng = random.Random(0)
    for _ in range(72):
        path.write_bytes(flipped(content, rng.randrange(8 * len(content))))
        with pytest.raises(RunError, match="is damaged"):
            read_last_checkpoint(tmp_path)


def test_weights_of_earlier_versions_have_no_checksum_and_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in STATE.items()}, path)
    assert set(read_weights(path, STATE)) == set(load_file(path))


def test_equal_weights_are_equal_files(tmp_path: Path) -> None:
    contents = set()
    for _ in range(20):
        save_weights(tmp_path / "a.safetensors", STATE, {"config": "x", "arch": "y"})
        contents.add((tmp_path / "a.safetensors").read_bytes())
    assert len(contents) == 1


def test_a_checkpoint_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    position = '{"phase": 1, "step": 20, "num_rows": 3, "seconds": 1.5, "health": {"ratio": 0.5}}'
    plain = {key: tensor.contiguous() for key, tensor in STATE.items()}
    save_file(plain, tmp_path / "phase01-step0000020.safetensors", {"position": position, "config": "x"})
    assert read_last_checkpoint(tmp_path).position.step == 20
