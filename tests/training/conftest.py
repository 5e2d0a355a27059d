"""What the tests of training share."""

from __future__ import annotations

import pytest
import torch

from ofa_hw.space import SearchSpace
from ofa_hw.training.batches import ImageBatches
from tests.training.tiny import make_images, make_space


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Keep tests to one thread: two of them spin for each other where cores are shared."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_space() -> SearchSpace:
    return make_space()


@pytest.fixture(scope="session")
def tiny_images() -> ImageBatches:
    return make_images()
