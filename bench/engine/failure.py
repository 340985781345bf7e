"""Errors of a call in another process, as they are sent to the caller."""

import pickle
import traceback
from dataclasses import dataclass

import torch

from bench.contracts import BenchError
from bench.contracts.errors import ChildError, one_line_error
from bench.engine.process_ending import OutOfMemoryError, ran_out_of_memory

LONGEST = 2**20
"""Bytes of the longest pickled failure; longer answers are results."""


@dataclass(frozen=True)
class Failure:
    """Error of a call, as sent to the caller."""

    error: BaseException


def failure_bytes(error: BaseException) -> bytes:
    """An error in pickled form: itself where the caller can act on it, a ChildError where it is a defect.

    Args:
        error: The error.

    Returns:
        A pickled Failure.
    """
    sent = error
    if ran_out_of_memory(error) and not isinstance(error, MemoryError | torch.OutOfMemoryError | BenchError):
        sent = OutOfMemoryError(one_line_error(error))
    elif not isinstance(error, BenchError | MemoryError | torch.OutOfMemoryError):
        sent = ChildError(one_line_error(error), "".join(traceback.format_exception(error)))
    try:
        # Not every error can be unpickled; its text always can.
        pickle.loads(pickle.dumps(sent))
    except Exception:
        sent = ChildError(one_line_error(error), "".join(traceback.format_exception(error)))
    return pickle.dumps(Failure(sent))


def holds_failure(content: bytes) -> bool:
    """Whether a pickled answer is a Failure.

    Args:
        content: The answer.

    Returns:
        True for a Failure.
    """
    return len(content) <= LONGEST and isinstance(pickle.loads(content), Failure)
