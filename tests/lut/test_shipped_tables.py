"""The tables under lut/ are whole: every block of their space at their sizes, calibrated, and told of in the README."""

import re
from pathlib import Path

import numpy as np
import pytest

from ofa_hw.blocks import unique_block_specs
from ofa_hw.lut import LatencyTable
from ofa_hw.search.quantities import read_quantity
from ofa_hw.space import get_space
from tests.test_docs import ROOT

FOLDER = Path(__file__).parents[2] / "lut"
PATHS = sorted(FOLDER.glob("*.csv"))


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def table(request):
    return LatencyTable.read(request.param)


def test_there_are_tables_of_two_runtimes():
    assert {path.stem.split("-")[1] for path in PATHS} == {"litert", "ort"}


def test_table_holds_every_block_once(table):
    specs = unique_block_specs(get_space(table.space), table.resolutions)
    assert {row.block for row in table.measurements} == set(specs)
    assert len(table.measurements) == len(specs)


def test_table_gives_networks_with_intervals(table):
    space = get_space(table.space)
    genes = space.sample_genes(50, np.random.default_rng(0))
    genes[:, 0] = np.random.default_rng(1).choice([space.resolutions.index(size) for size in table.resolutions], 50)
    low, high = table.interval_ms(space, genes)
    latency = table.latency_ms(space, genes)
    assert (low < latency).all()
    assert (latency < high).all()
    assert ((high - low) / latency < 0.2).all()


def test_calibration_was_judged_on_held_out_networks(table):
    judged = {figures.model: figures for figures in table.calibration.figures if figures.region == "all"}
    assert judged["full"].num_networks >= 20
    assert judged["full"].mean_error < judged["plain"].mean_error


def test_readme_tells_of_every_table():
    text = (FOLDER / "README.md").read_text()
    assert [path.name for path in PATHS if f"`{path.name}`" not in text] == []


def test_the_budget_of_the_readme_binds():
    # Those of one's own run of `fashion`; the front of ImageNet has a table and a budget of its own.
    budgets = re.findall(r"--lut lut/host.csv --max-latency (\S+)", (ROOT / "README.md").read_text())
    assert budgets
    space = get_space("fashion")
    genes = space.encode([*space.sample(2000, np.random.default_rng(0)), space.largest])
    for budget in budgets:
        limit_ms = read_quantity(budget, "ms")
        on_litert, on_ort = (
            LatencyTable.read(FOLDER / f"epyc-{name}-fashion.csv").latency_ms(space, genes)
            for name in ("litert", "ort")
        )
        assert 0.2 < (on_litert <= limit_ms).mean() < 0.8
        assert on_ort.min() < limit_ms < on_ort.max()
