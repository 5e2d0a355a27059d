"""Tables of measured blocks: read, written, summed to networks, and corrected by whole networks."""

from ofa_hw.lut.calibration import Calibration, Figures
from ofa_hw.lut.compare import BlockDifference, TableDifference, compare_tables
from ofa_hw.lut.network_draw import draw_networks
from ofa_hw.lut.published_tables import import_tables
from ofa_hw.lut.table import LatencyTable, calibrate_table

__all__ = [
    "BlockDifference",
    "Calibration",
    "Figures",
    "LatencyTable",
    "TableDifference",
    "calibrate_table",
    "compare_tables",
    "draw_networks",
    "import_tables",
]
