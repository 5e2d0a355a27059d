"""Once-for-all's answers, recorded from its public code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ofa_hw.nn import Supernet
from ofa_hw.space import ArchConfig, get_space


@pytest.fixture(scope="session")
def oracle(shared_data: Path) -> Path:
    folder = shared_data / "oracle"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing: once-for-all's recorded answers are not here")
    return folder


@pytest.fixture(scope="session")
def oracle_weights(oracle: Path) -> dict[str, torch.Tensor]:
    return torch.load(oracle / "ofa_mbv3_w1.0_weights.pth", weights_only=True)


@pytest.fixture
def published_net(oracle_weights: dict[str, torch.Tensor]) -> Supernet:
    net = Supernet(get_space("ofa-mobilenetv3-w1.0"))
    net.load_published(oracle_weights)
    return net.eval()


@pytest.fixture(scope="session")
def oracle_archs(oracle: Path) -> list[ArchConfig]:
    cases = json.loads((oracle / "ofa_mbv3_w1.0_logits.json").read_text())
    return [ArchConfig.from_ofa(ks=case["ks"], e=case["e"], d=case["d"], resolution=case["r"]) for case in cases]
