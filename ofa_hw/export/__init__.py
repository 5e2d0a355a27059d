"""A subnet as a file for its runtime, and a card that says what it is."""

from ofa_hw.export.card import model_card
from ofa_hw.export.subnet import FORMATS, SUFFIXES, ExportCheck, ExportError, describe, export_subnet

__all__ = ["FORMATS", "SUFFIXES", "ExportCheck", "ExportError", "describe", "export_subnet", "model_card"]
