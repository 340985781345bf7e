"""Derived folders: large copies in another form, made once and checked whenever they are read."""

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path

from bench.contracts.errors import BenchWarning, StoreError
from bench.toolkit.durable import atomic_folder, make_folder, write_atomic
from bench.toolkit.files import digest
from bench.toolkit.temporary import leftovers

EARLIER = re.compile(r"\.converting-.+")
"""Names of temporary folders of earlier versions."""
CHECKSUMS = "checksums.json"
"""File of a derived folder with the digest of each other file by its path."""


def derived_folder(folder: Path, what: str, make: Callable[[Path], None]) -> dict[str, str]:
    """A folder of derived files, made on first use; a damaged one is made anew with a warning.

    Args:
        folder: The folder. Its name has a hash of everything that its content derives from.
        what: Description of the content, with its size where it is large, for messages.
        make: Writes the content to an empty folder.

    Returns:
        Digests of its files by their paths inside it, as they were just verified.

    Raises:
        StoreError: If it cannot be written.
    """
    leftovers(folder.parent, EARLIER, remove=True)
    found = _verified(folder)
    if isinstance(found, str):
        from bench.toolkit.work_lock import work_lock  # filelock, which readers do without

        try:
            make_folder(folder.parent)
            with work_lock(folder.parent / ".locks" / f"{folder.name}.lock", what, _warn):
                _make(folder, what, make)
        except OSError as error:
            raise StoreError(
                f"{what} cannot be written to {folder.parent}: {error}; free space or set BENCH_CACHE"
            ) from error
        found = _verified(folder)
    if isinstance(found, str):
        raise StoreError(f"{what} in {folder} cannot be used: {found}; check the disk")
    return found


def _warn(message: str) -> None:
    warnings.warn(message, BenchWarning, stacklevel=3)


def _make(folder: Path, what: str, make: Callable[[Path], None]) -> None:
    """Make a folder, unless another process has made it meanwhile."""
    if folder.exists():
        problem = _verified(folder)
        if not isinstance(problem, str):
            return
        warnings.warn(f"{what} in {folder} is damaged ({problem}) and is made anew", BenchWarning, stacklevel=4)
    with atomic_folder(folder) as made:
        make(made)
        digests = {path.relative_to(made).as_posix(): digest(path) for path in _files(made)}
        write_atomic(made / CHECKSUMS, json.dumps(digests, indent=1, sort_keys=True))


def _verified(folder: Path) -> dict[str, str] | str:
    """Digests of the files of a folder, or what is wrong with one of them."""
    try:
        expected = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
        found = {path.relative_to(folder).as_posix(): digest(path) for path in _files(folder)}
    except FileNotFoundError as error:
        return f"it has no {Path(error.filename).name}"
    except OSError as error:
        return str(error)
    except ValueError:
        return f"{CHECKSUMS} is not readable"
    if expected == found:
        return found
    names = expected if isinstance(expected, dict) else {}
    return f"{min(name for name in {*names, *found} if names.get(name) != found.get(name))} has another content"


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / CHECKSUMS]
