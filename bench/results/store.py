"""Store of records: a folder with one JSON file per run, and a Parquet file of each run's predictions.

A record's id is a hash of everything that changes its value, so that a finished run is recognised and a changed one is
a new run. Files are written completely or not at all: first the predictions, under a name with a hash of their content,
then the record that names them. However the program ends, every record has its own predictions. A worse result of the
same run never replaces a better one: it is kept beside it, in the folder ``attempts``.
"""

import hashlib
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from bench.contracts.errors import StoreError, UsageError
from bench.results.migrations import MIGRATIONS
from bench.results.predictions import QueryPredictions
from bench.results.record import SCHEMA_VERSION, Record, SideFile, Status, run_id
from bench.results.record_text import DIGEST, record_content, record_text, require_digest
from bench.toolkit.durable import write_atomic

PREDICTIONS = "predictions"
OLD_PREDICTIONS = "outcomes"
"""Folder of predictions in a store of the first edition; they are read there and written to the present folder."""
ATTEMPTS = "attempts"
"""Folder of records of later attempts that were worse than the one that is kept."""
LOCKS = ".locks"
RECORD_NAME = re.compile(r"[0-9a-f]{16}\.json")
"""Names of records; a store's folder may hold other files, which are never read or deleted."""
PREDICTIONS_NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}\.parquet")
UNFINISHED_NAME = re.compile(r"\.[0-9a-f]{16}(-[0-9a-f]{16})?-[0-9a-f]{32}\.tmp")
"""Names of files that a killed program left unfinished, see ``atomic_path``."""
_QUALITY: dict[Status, int] = {"failed": 0, "skipped": 1, "over_budget": 2, "ok": 3}


class Store:
    """A folder of records, with their predictions in a folder inside.

    Attributes:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, record_id: str) -> Path:
        """Path of a record.

        Args:
            record_id: Its id.

        Returns:
            The path, whether or not there is a file.
        """
        return self.root / f"{record_id}.json"

    def read(self, path: Path) -> Record:
        """Read one record; earlier schemas are migrated.

        Args:
            path: Its file.

        Returns:
            The record.

        Raises:
            StoreError: If the file is not a record of a known schema.
        """
        try:
            content = written = record_content(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}; check its permissions and its disk") from None
        except ValueError as error:
            raise StoreError(f"{path} is not a readable record ({error}); delete it to run again") from None
        version = content.get("schema_version")
        if version == SCHEMA_VERSION:
            content = {name: value for name, value in written.items() if name != DIGEST}
        try:
            while type(version) is int and version in MIGRATIONS:
                content = MIGRATIONS[version](content)
                version = content["schema_version"]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise StoreError(
                f"{path} is not a valid record of schema {version}: {type(error).__name__}: {error}; "
                "delete it to run again"
            ) from None
        if version != SCHEMA_VERSION:
            raise StoreError(f"{path} has schema version {version}, this program reads {SCHEMA_VERSION}")
        try:
            record = Record.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise StoreError(f"{path} is not a valid record: {field}: {first['msg']}; delete it to run again") from None
        if not path.stem.partition("-")[0] == record.id == run_id(record.identity):
            raise StoreError(f"{path} is named by another id than its run has; delete it to run again")
        try:
            require_digest(written)
        except ValueError as error:
            raise StoreError(f"{path} is not as it was written: {error}; delete it to run again") from None
        return record

    def finished(self, record_id: str) -> Record | None:
        """The record of a run unless it failed: failed runs are run again.

        Args:
            record_id: Id of the record.

        Returns:
            The record, or None.
        """
        path = self.path(record_id)
        if not path.exists():
            return None
        record = self.read(path)
        return None if record.status == "failed" else record

    def prepare(self) -> None:
        """Create the folder and test that files can be written to it, before any work.

        Raises:
            StoreError: If it is not writable.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.root).close()
        except OSError as error:
            raise StoreError(f"no record can be written to {self.root}: {error.strerror}; use --store DIR") from error

    def predictions_path(self, file: SideFile) -> Path:
        """Path of a file of predictions, in the folder of the first edition where only that has it.

        Args:
            file: The side file.

        Returns:
            The path.
        """
        path, old = (self.root / folder / file.name for folder in (PREDICTIONS, OLD_PREDICTIONS))
        return old if old.exists() and not path.exists() else path

    def predictions(self, record: Record) -> QueryPredictions | None:
        """Predictions of a run for each query.

        Args:
            record: The record.

        Returns:
            The predictions; None if the record has none.

        Raises:
            StoreError: If the file is missing or not the one that the record was written with.
        """
        if record.predictions is None:
            return None
        path = self.predictions_path(record.predictions)
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != record.predictions.sha256:
                raise ValueError("its contents were changed")
            return QueryPredictions.from_bytes(record.metric, content)
        except UsageError as error:
            raise StoreError(f"{record.id}.json cannot be scored: {error}; install its package") from None
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(
                f"{path} does not hold the predictions of {record.id} ({error}); "
                f"delete {record.id}.json to run it again"
            ) from None

    @contextmanager
    def claim(self, record_id: str, wait: bool = True) -> Iterator[bool]:
        """Lock a run against other processes. The system frees the lock of a killed process.

        Args:
            record_id: Id of its record.
            wait: Whether to wait until another process frees the lock.

        Yields:
            Whether the lock was acquired.

        Raises:
            StoreError: If the lock file cannot be created.
        """
        lock = FileLock(self.root / LOCKS / f"{record_id}.lock", timeout=-1 if wait else 0)
        try:
            (self.root / LOCKS).mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            pass
        except OSError as error:
            raise StoreError(f"no run can be claimed in {self.root}: {error}; use --store DIR") from error
        try:
            yield lock.is_locked
        finally:
            lock.release()

    def write(self, record: Record, predictions: QueryPredictions | None = None) -> Record:
        """Write a record and its predictions, completely or not at all.

        Args:
            record: The record.
            predictions: Its predictions, if any.

        Returns:
            The record, with the name of the file of predictions.

        Raises:
            StoreError: If the files cannot be written.
        """
        made = None
        try:
            if predictions is not None:
                content = predictions.to_bytes()
                digest = hashlib.sha256(content).hexdigest()
                file = SideFile(name=f"{record.id}-{digest[:16]}.parquet", sha256=digest)
                record = record.model_copy(update={"predictions": file})
                if not self._holds(file):
                    made = self.predictions_path(file)
                    made.parent.mkdir(parents=True, exist_ok=True)
                    write_atomic(made, content)
            path = self._place(record)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, record_text(record))
        except OSError as error:
            if made is not None:
                with suppress(OSError):  # the store may have become read-only
                    made.unlink(missing_ok=True)
            raise StoreError(
                f"record cannot be written to {self.root}: {error}; free space or use --store DIR"
            ) from error
        return record

    def _place(self, record: Record) -> Path:
        """Path of a new record: its own, or one among the attempts where a better one of the same run is there."""
        path = self.path(record.id)
        try:
            kept = self.read(path) if path.exists() else None
        except StoreError:  # a damaged record is replaced
            return path
        if kept is None or _QUALITY[record.status] >= _QUALITY[kept.status]:
            return path
        made = len(_named(self.root / ATTEMPTS, re.compile(rf"{record.id}-\d+\.json")))
        return self.root / ATTEMPTS / f"{record.id}-{made + 1}.json"

    def _holds(self, file: SideFile) -> bool:
        """Whether an undamaged file of predictions is there."""
        try:
            return hashlib.sha256(self.predictions_path(file).read_bytes()).hexdigest() == file.sha256
        except OSError:
            return False

    def paths(self) -> list[Path]:
        """Files of all records, by id; other files in the folder are left out."""
        return _named(self.root, RECORD_NAME)

    def attempts(self) -> list[Path]:
        """Files of later attempts that were worse than the record of their run."""
        return _named(self.root / ATTEMPTS, re.compile(r"[0-9a-f]{16}-\d+\.json"))

    def scan(self) -> tuple[list[Record], list[str]]:
        """All records that can be read.

        Returns:
            The records by id, and a line for each file that has a record's name and is none.

        Raises:
            StoreError: If there is no record's file, or none that can be read.
        """
        paths = self.paths()
        if not paths:
            raise StoreError(f"no records in {self.root}; run 'bench run' first, or use --store DIR")
        found, problems = list[Record](), list[str]()
        for path in paths:
            try:
                found.append(self.read(path))
            except StoreError as error:
                problems.append(str(error))
        if not found:
            raise StoreError(problems[0])
        return found, problems

    def leftovers(self) -> list[Path]:
        """Files that no record names, from a killed program or a run that was repeated.

        Returns:
            Paths in order.

        Raises:
            StoreError: If a record is damaged, as its predictions are then unknown.
        """
        records = [self.read(path) for path in self.paths()]
        named = {record.predictions.name for record in records if record.predictions is not None}
        folders = [self.root / PREDICTIONS, self.root / OLD_PREDICTIONS]
        unnamed = [path for folder in folders for path in _named(folder, PREDICTIONS_NAME) if path.name not in named]
        unfinished = [path for folder in (self.root, *folders) for path in _named(folder, UNFINISHED_NAME)]
        return sorted(unnamed + unfinished)

    def __iter__(self) -> Iterator[Record]:
        """All records that can be read, by id; a line on standard error names each file that cannot.

        Yields:
            One record after another.

        Raises:
            StoreError: If there is no record's file.
        """
        records, problems = self.scan()
        for problem in problems:
            print(f"bench: passed over: {problem}", file=sys.stderr)
        yield from records


def _named(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    """The files of a folder whose whole name fits a pattern, in order; none where there is no folder."""
    try:
        return sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
