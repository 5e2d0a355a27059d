"""A run with invented figures, made once."""

import pytest

from ofa_hw.report.results import read_results
from tests.lut.example import table
from tests.report.synthetic_run import make_synthetic_run


@pytest.fixture(scope="session")
def synthetic_table(tmp_path_factory):
    path = tmp_path_factory.mktemp("lut") / "invented.csv"
    table().write(path)
    return path


@pytest.fixture(scope="session")
def synthetic_run(tmp_path_factory):
    return make_synthetic_run(tmp_path_factory.mktemp("runs") / "invented", num_samples=120)


@pytest.fixture(scope="session")
def synthetic_results(synthetic_run, synthetic_table):
    return read_results(synthetic_run, lut=synthetic_table)
