"""Trust in files whose loading runs code that is in them."""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from bench.contracts.errors import UsageError
from bench.toolkit.environment import variable

VARIABLE = "BENCH_TRUST"
"""Set to 1, it trusts as ``--trust`` does; worker processes inherit it."""


def trusting(trusts: bool) -> AbstractContextManager[None]:
    """Trust the user's files for some time.

    Args:
        trusts: Whether to; otherwise the environment decides.

    Returns:
        The context in which they are trusted.
    """
    return variable(VARIABLE, "1") if trusts else nullcontext()


def trusted() -> bool:
    """Whether the user's files are trusted now."""
    return os.environ.get(VARIABLE) == "1"


def require_trust(path: Path, what: str, instead: str) -> None:
    """Require that the user trusts a file.

    Args:
        path: The file.
        what: What it is.
        instead: A kind of file that needs no trust.

    Raises:
        UsageError: If the user does not; the message names the risk.
    """
    if not trusted():
        raise UsageError(
            f"{path} is {what}: loading it runs code that is in the file, with your permissions; use {instead}, "
            "or --trust if you know where it is from"
        )
