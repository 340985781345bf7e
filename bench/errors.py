"""Errors that reach a user as one line.

A message names what was required, what came and how to mend it. Everything that is not one of
these is a defect of the code and keeps its traceback.
"""

import traceback
from pathlib import Path

CALLERS = ("torch", "lightning", "numpy")
"""Libraries in which a plugin's defects come to light."""


class BenchError(Exception):
    """A failure that the user can understand and mend; the command ends with exit code 1."""


class UsageError(BenchError):
    """A wrong request: unknown name, bad value, impossible combination. Exit code 2."""


class DataError(BenchError):
    """Data that is missing, unreadable or not what the task declares."""


class NumericalError(BenchError):
    """Features or scores that are not finite numbers."""


class StoreError(BenchError):
    """A record or cache file that cannot be written or read back."""


def in_one_line(error: BaseException) -> str:
    """A defect as its type, its message and its place: the innermost line that is a plugin's."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    own = Path(__file__).parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if own not in path.parents and not any(name in path.parts for name in CALLERS):
            return f"{text} ({path.name}:{frame.lineno}, in {frame.name})"
    return text
