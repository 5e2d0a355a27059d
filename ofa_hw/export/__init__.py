"""A subnet as a file for its runtime, and a card that says what it is."""

from ofa_hw.export.card import model_card
from ofa_hw.export.subnet import FORMATS, ExportCheck, ExportError, choose_format, describe, export_subnet, format_for

__all__ = [
    "FORMATS",
    "ExportCheck",
    "ExportError",
    "choose_format",
    "describe",
    "export_subnet",
    "format_for",
    "model_card",
]
