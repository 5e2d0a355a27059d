"""What every test may use."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("ofa-hw", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("ofa-hw")


@pytest.fixture(scope="session")
def published_data() -> Path:
    """The folder of facts that others published; its README.md tells their origin and licence."""
    return Path(__file__).parent / "data" / "published"
