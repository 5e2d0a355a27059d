"""What every test may use."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("ofa-hw", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("ofa-hw")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of published facts beside the checkout; a test that needs it is skipped where it is missing."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing: it holds the published tables to compare with")
    return folder
