"""Splits of a user's data by the names of files and folders."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from bench.contracts import DataError
from tasks._own_files import visible

NAMES = {
    "train": "train", "training": "train",
    "test": "test", "eval": "test",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
}  # fmt: skip
"""Names of splits in lower case."""
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d+)-of-(?P<total>\d+)")
KNOWN = "train (training), test (eval) and validation (val, valid, dev)"


def split_of(name: str) -> str | None:
    """The split that a name means, in any case.

    Args:
        name: Name of a folder, or of a file without suffix and number of the shard.

    Returns:
        "train", "test" or "validation"; None for any other name.
    """
    return NAMES.get(name.casefold())


def folders_by_split(task: str, root: Path, folders: Sequence[Path]) -> dict[str, Path] | None:
    """The folders of splits, which hold folders of classes.

    Args:
        task: Name of the task, for messages.
        root: Folder of the data, for messages.
        folders: Its folders.

    Returns:
        Folders by split; None where the folders are those of classes.

    Raises:
        DataError: For folders of classes beside folders of splits, names that mean no split, two names for one split,
            and a missing train or test.
    """
    nested = [folder for folder in folders if any(entry.is_dir() for entry in folder.iterdir())]
    if not any(split_of(folder.name) for folder in nested):
        return None  # a folder in a class's folder is refused where its items are read
    return {split: paths[0] for split, paths in _by_split(task, root, {path: path.name for path in folders}).items()}


def files_by_split(task: str, root: Path, files: Sequence[Path]) -> dict[str, list[Path]] | None:
    """The tables of each split, with all their shards.

    Args:
        task: Name of the task, for messages.
        root: Folder of the data.
        files: Its tables: ``NAME.SUFFIX`` or ``NAME-00000-of-00002.SUFFIX``, or any in a folder ``NAME`` in it.

    Returns:
        Files by split; None where the files name no split, or train alone.

    Raises:
        DataError: For missing shards, names that mean no split beside others that do, two names for one split, and a
            missing train or test.
    """
    stems = {file: _split_name(root, file) for file in files}
    _require_shards(task, files)
    named = {split_of(stem) for stem in stems.values()}
    if named in ({None}, {"train"}):
        return None
    return _by_split(task, root, stems)


def _split_name(root: Path, path: Path) -> str:
    """The name that says the split of a file or folder: that of the folder of a file in a folder of the root."""
    return path.parent.name if path.parent.parent == root != path.parent else _stem(path)


def tables_in(root: Path, suffixes: Collection[str], names: Sequence[str]) -> list[Path]:
    """Tables in a folder, or where it has none, in its folders if one of them is a split's.

    A folder that has folders itself holds those of classes, and its tables are not read.

    Args:
        root: The folder.
        suffixes: Suffixes of tables, in lower case.
        names: Names of splits besides the usual ones.

    Returns:
        The tables; none of hidden names.
    """

    def tables(folder: Path) -> list[Path]:
        return [entry for entry in visible(folder) if entry.is_file() and entry.suffix.lower() in suffixes]

    def is_split(folder: Path) -> bool:
        return split_of(folder.name) is not None or folder.name in names

    if found := tables(root):
        return found
    folders = [entry for entry in visible(root) if entry.is_dir()]
    if not any(map(is_split, folders)):
        return []
    flat = [folder for folder in folders if not any(entry.is_dir() for entry in visible(folder))]
    found = [table for folder in flat for table in tables(folder)]
    return found if any(is_split(table.parent) for table in found) else []


def tables_by_split(task: str, root: Path, files: Sequence[Path], names: Sequence[str]) -> dict[str, list[Path]]:
    """The tables of the splits that a user names, or of those of the usual names.

    Args:
        task: Name of the task, for messages.
        root: Folder of the data, for messages.
        files: Its tables.
        names: Names of splits; none for the usual ones.

    Returns:
        Files by "train" and "test", or by "all".

    Raises:
        DataError: As for ``named_splits`` and ``files_by_split``.
    """
    if names:
        return named_splits(task, root, names, files)
    return files_by_split(task, root, files) or {"all": list(files)}


def named_splits(task: str, root: Path, names: Sequence[str], paths: Sequence[Path]) -> dict[str, list[Path]]:
    """The files or folders of splits that a user names.

    Args:
        task: Name of the task, for messages.
        root: Folder of the data, for messages.
        names: The support and the query split, or one split for both.
        paths: Files, which may be shards, or folders.

    Returns:
        Paths by "train" and "test", or by "all".

    Raises:
        DataError: For a name that no path has, and for missing shards.
    """
    found = {name: [path for path in paths if name in (_stem(path), path.name, path.parent.name)] for name in names}
    for name, files in found.items():
        if not files:
            known = ", ".join(sorted({_split_name(root, path) for path in paths})[:5]) or "none"
            raise DataError(f"{task} has no split {name!r} in {root}; there are {known}")
        _require_shards(task, files)
    return dict(zip(("train", "test") if len(names) > 1 else ("all",), found.values(), strict=True))


def _by_split(task: str, root: Path, names: dict[Path, str]) -> dict[str, list[Path]]:
    """Paths by the split that their names mean; validation is left out."""
    unknown = [path.relative_to(root).as_posix() for path, name in names.items() if split_of(name) is None]
    if unknown:
        raise DataError(
            f"{task} cannot say to which split these of {root} belong: {', '.join(sorted(unknown)[:5])}; "
            f"known splits are {KNOWN}: rename or remove them"
        )
    spelled: dict[str, set[str]] = {}
    found: dict[str, list[Path]] = {}
    for path, name in names.items():
        split = NAMES[name.casefold()]
        spelled.setdefault(split, set()).add(name)
        found.setdefault(split, []).append(path)
    for split, both in spelled.items():
        if len(both) > 1:
            raise DataError(f"{task} needs one {split} split in {root}, got {' and '.join(sorted(both))}; keep one")
    if missing := {"train", "test"} - found.keys():
        raise DataError(
            f"{task} needs train and test in {root}, {' and '.join(sorted(missing))} is missing beside "
            f"{', '.join(sorted(name for both in spelled.values() for name in both))}; add it, or put all items in one "
            "pool without names of splits"
        )
    return {split: paths for split, paths in found.items() if split != "validation"}


def _stem(file: Path) -> str:
    shard = _SHARD.fullmatch(file.stem)
    return shard["stem"] if shard else file.stem


def _require_shards(task: str, files: Sequence[Path]) -> None:
    """Require every shard of each set of shards."""
    shards: dict[tuple[Path, str, int], set[int]] = {}
    for file in files:
        if shard := _SHARD.fullmatch(file.stem):
            shards.setdefault((file.parent, shard["stem"], int(shard["total"])), set()).add(int(shard["number"]))
    for (_, stem, total), numbers in shards.items():
        if missing := sorted(set(range(total)) - numbers):
            raise DataError(
                f"{task} needs all {total} shards of {stem}, {len(missing)} are missing: "
                f"{', '.join(map(str, missing[:5]))}{', ...' if len(missing) > 5 else ''}; add them"
            )
