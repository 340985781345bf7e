"""Versions that determine values: of the harness's protocol and of numerical libraries."""

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROTOCOL = 3
"""Version of the harness as far as it determines values: a part of every record's identity and feature cache's key.

Raise it by 1 in the same commit as a change of the harness or the toolkit that changes the score of any run: how
episodes are drawn, items are encoded, methods are adapted, answers are scored. ``tests/test_golden_scores.py`` fails
where scores change and this number does not. The code of plugins is no reason to raise it: each has a hash of its own.
1 stands for records of the first edition, whose identities name no protocol.
"""
LIBRARIES = (
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "timm",
    "transformers",
    "tokenizers",
    "open_clip_torch",
    "peft",
    "faiss-cpu",
    "sacrebleu",
    "lightning",
)
"""Libraries whose version can change a value: numpy draws episodes, Pillow decodes and resizes images."""


def library_versions(names: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Versions of installed libraries.

    Args:
        names: Names of distributions.

    Returns:
        Versions by name; libraries that are not installed are left out.
    """
    folders = import_folders()
    return {name: found for name in names if (found := _version(name, folders, version))}


def import_folders() -> tuple[tuple[str, int], ...]:
    """Where distributions are looked for, each with the time of its last change, which an installation makes.

    Returns:
        Folders of the import path in its order, and nanoseconds; 0 for those that are not there.
    """
    found = []
    for folder in sys.path:
        try:
            found.append((folder, Path(folder or ".").stat().st_mtime_ns))
        except OSError:  # it may be made later
            found.append((folder, 0))
    return tuple(found)


@lru_cache(maxsize=256)
def _version(name: str, folders: tuple[tuple[str, int], ...], read: Callable[[str], str]) -> str:
    """Version of an installed library, read once for one state of the folders; empty for others."""
    try:
        return read(name)
    except PackageNotFoundError:
        return ""
