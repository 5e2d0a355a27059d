"""What can go wrong, by what has to be mended.

Every message is one line that says what must hold, what came instead and what to do next. The command line
prints it and exits with 1; a script catches `OfaHwError` or one of its kinds.
"""


class OfaHwError(Exception):
    """Any failure that ofa-hw expects and explains."""


class InvalidInputError(OfaHwError, ValueError):
    """A value from the caller is outside what the space, the schedule or the command admits."""


class DataError(OfaHwError):
    """Images cannot be used: a folder is missing or empty, a file is damaged, classes disagree."""


class TableError(OfaHwError):
    """A latency table is damaged, mixed, of another space, or lacks a block."""


class DeviceError(OfaHwError):
    """A device or its runtime does not answer, or cannot run what it was given."""


class MissingDependencyError(OfaHwError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class RunError(OfaHwError):
    """A run folder lacks what a command needs, is of another space, or holds a damaged file."""
