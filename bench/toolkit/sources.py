"""Sources of data sets: published splits on the hub or as local Parquet files, and other files of the hub."""

import json
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import datasets
import pyarrow as pa
from datasets import Dataset
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

from bench.contracts.errors import BenchWarning, DataError, StoreError, one_line
from bench.toolkit.derived import derived_folder
from bench.toolkit.files import cache_folder, file_hash, is_damaged_download, text_hash, weights_hash
from bench.toolkit.versions import library_versions

HUB_TIMEOUT = 5.0
"""Seconds to wait for the hub's first answer."""
COLUMNAR = frozenset({".parquet", ".arrow"})
"""Suffixes of files that ``read_rows`` reads."""
READING = ("datasets", "pyarrow")
"""Libraries whose version can change an Arrow copy."""
_NUMBER = re.compile(r"-of-(\d+)\.parquet$")


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """Keep the progress bars and retry warnings of ``datasets`` and the hub off the terminal."""
    shown = datasets.is_progress_bar_enabled()
    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    datasets.disable_progress_bars()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if shown:
            datasets.enable_progress_bars()


@dataclass(frozen=True)
class Source:
    """A published data set on the hub, pinned to a commit, or the same splits as local Parquet files.

    Attributes:
        folder: Folder of a local copy, with one file ``FOLDER/SPLIT.parquet`` for each split.
        hub: Repository id.
        revision: Full commit hash.
        splits: Splits to read; of several in a tuple the first one found, which on the hub is the first of them.
        files: Pattern of the end of a file's path in the repository, with ``{split}`` in it. Where file names have the
            number of files in them (``-of-00002``), all of these are required.
    """

    folder: str
    hub: str
    revision: str
    splits: tuple[str | tuple[str, ...], ...] = ("train", "test")
    files: str = "{split}-*-of-*.parquet"

    def load(self, data: Path | None) -> tuple[dict[str, Dataset], str]:
        """Read all splits.

        Args:
            data: Folder of local copies; None for the hub.

        Returns:
            Rows by split, in order, and the revision: the hub's commit or a hash of the local files, with the names of
            splits that were chosen among several.

        Raises:
            DataError: If files are missing or unreadable; the message names the expected ones.
        """
        choices = [(split,) if isinstance(split, str) else split for split in self.splits]
        loaded, revision = self._from_hub(choices) if data is None else self._from_folder(data, choices)
        chosen = [name for name, several in zip(loaded, choices, strict=True) if len(several) > 1]
        return loaded, f"{revision} ({', '.join(chosen)})" if chosen else revision

    def _layout(self, data: str, choices: Sequence[tuple[str, ...]]) -> list[str]:
        """Paths of a local copy's files, for messages."""
        return [
            f"{data}/{self.folder}/{first}.parquet" + "".join(f" (or {other}.parquet)" for other in others)
            for first, *others in choices
        ]

    def _from_folder(self, data: Path, choices: Sequence[tuple[str, ...]]) -> tuple[dict[str, Dataset], str]:
        candidates = [{split: data / self.folder / f"{split}.parquet" for split in several} for several in choices]
        there = [{split: path for split, path in paths.items() if path.is_file()} for paths in candidates]
        required = self._layout(str(data), choices)
        missing = [words for words, found in zip(required, there, strict=True) if not found]
        if missing:
            raise DataError(f"{self.folder} needs {' and '.join(required)}; not found: {', '.join(missing)}")
        paths = dict(next(iter(found.items())) for found in there)
        loaded = {split: read_rows(self.folder, [path]) for split, path in paths.items()}
        return loaded, text_hash(*map(file_hash, paths.values()))

    def _from_hub(self, choices: Sequence[tuple[str, ...]]) -> tuple[dict[str, Dataset], str]:
        local = f"for a local copy give --data DIR or BENCH_DATA with {' and '.join(self._layout('DIR', choices))}"
        endings = {first: self.files.format(split=first) for first, *_ in choices}
        try:
            # Only the splits that are read: the others may be gigabytes.
            patterns = [pattern for ending in endings.values() for pattern in (ending, f"*/{ending}")]
            folder = hub_folder(self.hub, "dataset", self.revision, patterns)
        except DataError as error:
            raise DataError(f"{error}; {local}") from error
        everything = {
            f"/{path.relative_to(folder).as_posix()}": str(path) for path in sorted(folder.rglob("*.parquet"))
        }
        loaded = {}
        for split, ending in endings.items():
            files = [path for name, path in everything.items() if fnmatchcase(name, f"*/{ending}")]
            # A download that was broken off leaves some of the files.
            number = _NUMBER.search(files[0]) if files else None
            if not files or (number and len(files) != int(number[1])):
                raise DataError(
                    f"{self.hub} has {len(files)} files of {split} ({ending}) in {folder}, which is not all; {local}"
                )
            loaded[split] = read_rows(self.folder, files)
        return loaded, f"{self.hub}@{self.revision}"


def read_rows(name: str, files: Sequence[str | Path]) -> Dataset:
    """The rows of Parquet or Arrow files as one data set, read from an Arrow copy in the cache folder.

    The library keys its own copies by the files' names and times, which stay when a file is replaced by ``cp -p``. Here
    the key is the content.

    Args:
        name: Name of the data, for messages.
        files: The files of one format, in order.

    Returns:
        All rows.

    Raises:
        DataError: If a file is unreadable.
        StoreError: If the copy cannot be written.
    """
    paths = [str(file) for file in files]

    def make(folder: Path) -> None:
        with quiet_datasets(), TemporaryDirectory(dir=folder) as building:
            try:
                if paths[0].lower().endswith(".arrow"):
                    _copy_arrow(paths, folder)
                    return
                # load_dataset would count the use on the hub first, and wait five seconds where there is no network.
                made = Dataset.from_parquet(paths, split="train", cache_dir=building)
                made.data.table.validate(full=True)  # a text that is not UTF-8 would fail wherever it is first used
            except Exception as error:  # of a damaged file pyarrow and datasets raise many kinds, OSError among them
                raise _error_of_system(error) or ValueError(one_line(error)) from error
            for number, file in enumerate(made.cache_files):
                Path(file["filename"]).rename(folder / f"{number:05d}.arrow")

    try:
        key = text_hash(*map(weights_hash, map(Path, paths)), json.dumps(library_versions(READING)))
        folder = cache_folder() / "datasets" / key[:24]
        parts = derived_folder(folder, f"the Arrow copy of {name}", make)
        return datasets.concatenate_datasets([Dataset.from_file(str(folder / part)) for part in sorted(parts)])
    except StoreError:
        raise
    except Exception as error:
        raise DataError(f"{name} cannot be read from {', '.join(paths)}: {one_line(error)}") from error


def _copy_arrow(paths: Sequence[str], folder: Path) -> None:
    """Write each file as a stream, which is mapped into memory; a file is one already, or has an index at its end."""
    for number, path in enumerate(paths):
        with pa.memory_map(path) as source:
            try:
                reader = pa.ipc.open_stream(source)
                batches: Iterator[pa.RecordBatch] = iter(reader)
            except (OSError, pa.ArrowInvalid):
                source.seek(0)
                reader = pa.ipc.open_file(source)
                batches = (reader.get_batch(place) for place in range(reader.num_record_batches))
            with pa.ipc.new_stream(str(folder / f"{number:05d}.arrow"), reader.schema) as writer:
                for batch in batches:
                    batch.validate(full=True)  # a text that is not UTF-8 would fail wherever it is first used
                    writer.write_batch(batch)


def _error_of_system(error: BaseException | None) -> OSError | None:
    """The error of the disk that caused an error, such as a full one; None for damaged content."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error
        error = error.__cause__ or error.__context__
    return None


def hub_folder(repository: str, kind: Literal["model", "dataset"], revision: str, files: Sequence[str]) -> Path:
    """Local snapshot of a repository of the hub, downloaded if necessary.

    Args:
        repository: Repository id.
        kind: Whether it is of a model or of a data set.
        revision: Commit hash.
        files: Patterns of the files that are needed.

    Returns:
        Folder of the snapshot.

    Raises:
        DataError: Within seconds, if the files are neither local nor downloadable, or if they are local and damaged.
    """
    reason = _unreachable(repository, kind, revision)

    def download() -> Path:
        try:
            with quiet_datasets():
                # The hub's client would try an unreachable hub for half a minute.
                folder = snapshot_download(
                    repository,
                    repo_type=kind,
                    revision=revision,
                    allow_patterns=list(files),
                    local_files_only=reason is not None,
                )
        # The client's transport library, and with it the errors of a broken network, differ by version.
        except Exception as error:
            raise DataError(f"{repository} cannot be downloaded from the hub ({reason or one_line(error)})") from error
        return Path(folder)

    folder = download()
    damaged = [
        path
        for path in sorted(folder.rglob("*"))
        if any(fnmatchcase(path.relative_to(folder).as_posix(), pattern) for pattern in files)
        and is_damaged_download(path)
    ]
    if not damaged:
        return folder
    named = f"{len(damaged)} files of {repository} in the hub's cache are damaged, such as {damaged[0]}"
    if reason is not None:
        raise DataError(f"{named}; delete {damaged[0].resolve()} and run again where the hub can be reached ({reason})")
    warnings.warn(f"{named}; they are downloaded again", BenchWarning, stacklevel=2)
    try:
        for path in damaged:
            path.resolve().unlink(missing_ok=True)
            path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{named}, and cannot be replaced: {error}; check the permissions of the hub's cache") from None
    return download()


def _unreachable(repository: str, kind: Literal["model", "dataset"], revision: str) -> str | None:
    """Reason for a failed request of a repository, after one try with a short timeout; None on success."""
    try:
        HfApi().repo_info(repository, repo_type=kind, revision=revision, timeout=HUB_TIMEOUT)
    except Exception as error:  # see there
        return hub_reason(error, revision)
    return None


def hub_reason(error: Exception, revision: str) -> str:
    """Reason for a failed request of a repository of the hub.

    Args:
        error: What the hub's client raised.
        revision: The revision that was requested.

    Returns:
        The reason, in one line.
    """
    if isinstance(error, RevisionNotFoundError):
        return f"it has no revision {revision!r}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in {401, 403} or isinstance(error, RepositoryNotFoundError):
        return "it does not exist, or is private or gated: set HF_TOKEN to a token that may read it"
    return f"{type(error).__name__}: {one_line(error)}"
