"""Errors that are shown to users in one line.

A message names the requirement, the value at hand and the remedy. Any other exception is a defect of the code and keeps
its traceback.
"""

import difflib
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LIBRARIES = frozenset(
    {
        "PIL", "datasets", "faiss", "lightning", "lightning_utilities", "numpy", "open_clip", "pandas", "peft",
        "pyarrow", "pydantic", "scipy", "sentence_transformers", "sklearn", "timm", "tokenizers", "torch",
        "torchvision", "transformers",
    }
)  # fmt: skip


class BenchError(Exception):
    """A failure with a remedy that the user has; exit code 1 of the command."""


class UsageError(BenchError):
    """A wrong request: unknown name, bad value, impossible combination. Exit code 2."""


class NoClassEmbeddingsError(UsageError):
    """Answers that a backbone reads and has no embeddings for; methods that need none can run."""


class DataError(BenchError):
    """Data that is missing, unreadable or different from the task's declaration."""


class NumericalError(BenchError):
    """Features or scores that are not finite numbers."""


class StoreError(BenchError):
    """A record or cache file that cannot be written or read back."""


class BenchWarning(UserWarning):
    """A damaged file that was passed over or made anew; the command line prints it in one line."""


class ChildError(RuntimeError):
    """A defect in a worker process.

    Attributes:
        traceback: Traceback in the worker process.
    """

    def __init__(self, line: str, traceback: str) -> None:
        """Describe the defect.

        Args:
            line: Type, message and place in one line.
            traceback: Traceback in the worker process.
        """
        super().__init__(line, traceback)
        self.traceback = traceback

    def __str__(self) -> str:
        return str(self.args[0])


def one_line_error(error: BaseException) -> str:
    """An error in one line, for records and reports.

    Args:
        error: Any error.

    Returns:
        The message of an error that the user can act on; of a defect also its type, and its place: the innermost line
        that may be a plugin's.
    """
    if isinstance(error, BenchError | ChildError):
        return str(error)
    try:
        message = " ".join(str(error).split())
    except Exception:  # the text of an error may itself raise one
        message = "its message is unavailable"
    text = f"{type(error).__name__}: {message}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_a_plugins(Path(frame.filename))]
    if not frames:
        return text
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno}, in {frames[-1].name})"


def _is_a_plugins(path: Path) -> bool:
    """Whether a file is neither the harness's nor Python's, nor a library's that a plugin calls."""
    harness = Path(__file__).parents[1]
    if harness in path.parents:
        return harness / "backbones" in path.parents
    for packages in {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}:
        if packages in path.parents:
            return path.relative_to(packages).parts[0] not in LIBRARIES
    return Path(sysconfig.get_path("stdlib")) not in path.parents


def suggestion(name: str, known: Iterable[str]) -> str:
    """Hint for an unknown name.

    Args:
        name: The unknown name.
        known: All known names.

    Returns:
        The closest known name as a question, or the list of all.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"


def did_you_mean(kind: str, name: str, known: Iterable[str], where: str = "") -> UsageError:
    """An error for an unknown name that suggests the closest known one.

    Args:
        kind: Kind of thing that is named, in the singular.
        name: The unknown name.
        known: All known names.
        where: Place that lacks the name, such as "in the store".

    Returns:
        The error to raise.
    """
    place = f" {where}" if where else ""
    return UsageError(f"no {kind} {shown(name, 80)}{place}; {suggestion(name, known)}")


def shown(value: Any, characters: int = 120) -> str:
    """A value in a message: as Python writes it, so that no character of it is invisible, and cut where it is long.

    Args:
        value: Any value.
        characters: Most characters.

    Returns:
        One line.
    """
    try:
        text = repr(value[: characters + 1] if isinstance(value, str) else value)
    except Exception:  # of a number with thousands of digits, or of a plugin's own value
        return f"a {type(value).__name__}"
    return text if len(text) <= characters + 2 else f"{text[:characters]}..."


def one_line(error: BaseException) -> str:
    """The message of a library's error, for an error of this project's that quotes it.

    Args:
        error: Any error.

    Returns:
        Its message in one line of 200 characters at most; the name of its type if it has none.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:200] + "..."
