"""Exported files compute what torch computes, or are not written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ofa_hw import export
from ofa_hw.errors import InvalidInputError
from ofa_hw.export import FORMATS, ExportError, describe, export_subnet
from ofa_hw.nn import build_subnet, recalibrate_batch_norm
from ofa_hw.space import ArchConfig, SearchSpace, get_space

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def arch() -> ArchConfig:
    return get_space("fashion").sample(1, np.random.default_rng(2))[0]


@pytest.fixture(scope="module")
def subnet(arch: ArchConfig) -> torch.nn.Sequential:
    torch.manual_seed(0)
    net = build_subnet(get_space("fashion"), arch)
    recalibrate_batch_norm(net, [torch.rand(16, 1, arch.resolution, arch.resolution)])
    return net


@pytest.mark.parametrize("format_name", FORMATS)
def test_every_format_equals_torch(
    subnet: torch.nn.Sequential, arch: ArchConfig, tmp_path: Path, format_name: str
) -> None:
    images = torch.rand(5, 1, arch.resolution, arch.resolution)
    path = tmp_path / f"net.{format_name}"
    check = export_subnet(subnet, get_space("fashion"), arch, path, format_name, images=images)
    assert check.max_logit_error < 1e-5
    assert check.top1_agreement == 1.0
    assert check.num_images == 5
    assert path.stat().st_size == check.num_bytes


def test_labels_and_normalisation_travel_with_the_file(
    subnet: torch.nn.Sequential, arch: ArchConfig, tmp_path: Path
) -> None:
    metadata = describe(["cat", "dog"], [0.5], [0.25])
    path = tmp_path / "net.tflite"
    export_subnet(subnet, get_space("fashion"), arch, path, metadata=metadata)
    content = path.read_bytes()
    assert json.dumps(["cat", "dog"]).encode() in content
    assert arch.to_json().encode() in content


def test_file_that_computes_something_else_is_not_written(
    subnet: torch.nn.Sequential, arch: ArchConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong_writer(*arguments: object) -> tuple[bytes, export.Runner]:
        return b"model", lambda x_BCHW: np.zeros((1, 10), np.float32)

    monkeypatch.setitem(export._WRITERS, "tflite", wrong_writer)
    with pytest.raises(ExportError, match="nothing was written"):
        export_subnet(subnet, get_space("fashion"), arch, tmp_path / "net.tflite")
    assert list(tmp_path.iterdir()) == []


def test_unknown_format_lists_those_that_exist(subnet: torch.nn.Sequential, arch: ArchConfig, tmp_path: Path) -> None:
    space: SearchSpace = get_space("fashion")
    with pytest.raises(InvalidInputError, match="tflite, onnx, pt2"):
        export_subnet(subnet, space, arch, tmp_path / "net.bin", "coreml")
