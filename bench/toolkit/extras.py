"""Optional dependencies, and the extra of this project that installs each."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from bench.contracts.errors import UsageError

EXTRAS = {
    "peft": "peft",
    "accelerate": "accelerate",
    "deepspeed": "deepspeed",
    "faiss": "faiss",
    "open_clip": "open_clip",
    "sentence_transformers": "st",
    "optuna": "sweeps",
    "cmaes": "sweeps",
    "sqlalchemy": "sweeps",
    "psycopg": "postgresql",
    "ray": "ray",
    "ruptures": "history",
}
"""Extras by the top-level module that needs them; pyproject.toml declares the same."""


def missing_extra(error: ImportError) -> UsageError | None:
    """Advice to install an extra.

    Args:
        error: A failed import.

    Returns:
        An error that names the extra, or None if no extra has the missing module.
    """
    module = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or module not in EXTRAS:
        return None
    return _advice(module)


def import_extra(module: str) -> Any:
    """Import an optional dependency.

    Args:
        module: Its name.

    Returns:
        The module.

    Raises:
        UsageError: If it is not installed; the message names the extra.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise missing_extra(error) or error from None


def require_extra(module: str) -> None:
    """Require an optional dependency without importing it.

    Args:
        module: Its name.

    Raises:
        UsageError: If it is not installed; the message names the extra.
    """
    if find_spec(module) is None:
        raise _advice(module)


def _advice(module: str) -> UsageError:
    return UsageError(f"the package {module} is not installed; pip install 'faast-bench[{EXTRAS[module]}]'")
