"""Errors that reach a user as one line.

A message names what was required, what came and how to mend it. Everything that is not one of
these is a defect of the code and keeps its traceback.
"""


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
