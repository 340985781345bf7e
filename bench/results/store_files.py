"""Names of a store's files. Only files of these names are read or deleted; a store's folder may hold others."""

import re
from pathlib import Path

from bench.results.record import SideFile

PREDICTIONS = "predictions"
OLD_PREDICTIONS = "outcomes"
"""Folder of predictions in a store of the first edition; they are read there and written to the present folder."""
ATTEMPTS = "attempts"
"""Folder of records of later attempts that were worse than the one that is kept."""
RATIOS = "ratios"
"""Folder of ratios of costs that were measured in turn."""
PARTIAL = "partial"
"""Folder of the predictions of unfinished runs."""
LOCKS = ".locks"
"""Folder of the claims of runs in progress."""
FOLDERS = ("", PREDICTIONS, OLD_PREDICTIONS, ATTEMPTS, PARTIAL, RATIOS)
"""Folders of a store that are written to."""
RECORD = re.compile(r"[0-9a-f]{16}\.json")
ATTEMPT = re.compile(r"[0-9a-f]{16}-\d+\.json")
RATIOS_FILE = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}\.json")
PARTIAL_FILE = re.compile(r"[0-9a-f]{16}\.answers")
PREDICTIONS_FILE = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}\.parquet")


def named(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    """The files of a folder whose whole name fits a pattern, in order.

    Args:
        folder: The folder.
        pattern: The pattern.

    Returns:
        Their paths; none where there is no folder.
    """
    try:
        return sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def predictions_path(root: Path, file: SideFile) -> Path:
    """Path of a file of predictions, in the folder of the first edition where only that has it.

    Args:
        root: Folder of the store.
        file: The side file.

    Returns:
        The path.
    """
    path, old = (root / folder / file.name for folder in (PREDICTIONS, OLD_PREDICTIONS))
    return old if old.exists() and not path.exists() else path
