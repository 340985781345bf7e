"""Store of records: a folder with one JSON file per run, and a Parquet file of each run's predictions.

A record's id is a hash of everything that changes its value, so that a finished run is recognised and a changed one is
a new run. Files are written completely or not at all, and durably: first the predictions, under a name with a hash of
their content, then the record that names them. However the program or the power ends, every record has its own
predictions. A worse result of the same run never replaces a better one: it is kept beside it, in the folder
``attempts``.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bench.contracts.errors import StoreError
from bench.results.predictions import QueryPredictions
from bench.results.record import Record, SideFile, Status
from bench.results.record_text import record_text
from bench.results.store_files import ATTEMPTS, FOLDERS, LOCKS, PARTIAL, named
from bench.results.store_reading import StoredRecords
from bench.toolkit.durable import ROOM, make_folder, require_room, write_atomic
from bench.toolkit.temporary import leftovers

_QUALITY: dict[Status, int] = {"failed": 0, "skipped": 1, "over_budget": 2, "ok": 3}


class Store(StoredRecords):
    """A folder of records that is written to.

    Attributes:
        root: The folder.
    """

    def prepare(self) -> None:
        """Create the folder, remove what killed programs left, and test that there is room, before any work.

        Raises:
            StoreError: If it is not writable, or the disk is full.
        """
        try:
            make_folder(self.root)
            for folder in FOLDERS:
                leftovers(self.root / folder, remove=True)
            require_room(self.root, ROOM)
        except OSError as error:
            raise StoreError(
                f"no record can be written to {self.root}: {error.strerror}; free space or use --store DIR"
            ) from error

    @contextmanager
    def claim(
        self,
        record_id: str,
        what: str = "a run",
        notify: Callable[[str], None] = lambda message: None,
        wait: bool = True,
    ) -> Iterator[bool]:
        """Lock a run against other processes. The system frees the lock of a killed process.

        Args:
            record_id: Id of its record.
            what: The run in words, for processes that wait.
            notify: Called with a line that says for whom this process waits.
            wait: Whether to wait until another process frees the lock.

        Yields:
            Whether the lock was acquired.

        Raises:
            StoreError: If the lock file cannot be created.
        """
        from bench.toolkit.work_lock import work_lock  # filelock, which readers do without

        with ExitStack() as stack:
            try:
                lock = self.root / LOCKS / f"{record_id}.lock"
                claimed = stack.enter_context(work_lock(lock, f"{what} ({record_id})", notify, wait))
            except OSError as error:
                raise StoreError(f"no run can be claimed in {self.root}: {error}; use --store DIR") from error
            yield claimed

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
                if not self.holds(file):
                    made = self.predictions_path(file)
                    make_folder(made.parent)
                    write_atomic(made, content)
            path = self._place(record)
            make_folder(path.parent)
            write_atomic(path, record_text(record))
        except OSError as error:
            if made is not None:
                with suppress(OSError):  # the store may have become read-only
                    made.unlink(missing_ok=True)
            raise StoreError(
                f"record cannot be written to {self.root}: {error}; free space or use --store DIR"
            ) from error
        return record

    def partial_path(self, record_id: str) -> Path:
        """Path of the predictions of an unfinished run, see ``bench.engine.partial``.

        Args:
            record_id: Id of its record.

        Returns:
            The path, whether or not there is a file.
        """
        return self.root / PARTIAL / f"{record_id}.answers"

    def remove_partial(self, record: Record) -> None:
        """Delete the predictions of an unfinished run, once it has its record.

        Args:
            record: The record; nothing is deleted if it failed or could not be written.
        """
        if record.status != "failed" and self.path(record.id).exists():
            with suppress(OSError):
                self.partial_path(record.id).unlink(missing_ok=True)

    def _place(self, record: Record) -> Path:
        """Path of a new record: its own, or one among the attempts where a better one of the same run is there."""
        kept = self.kept(record.id)
        if kept is None or _QUALITY[record.status] >= _QUALITY[kept.status]:
            return self.path(record.id)
        return self.next_attempt(record.id)

    def next_attempt(self, record_id: str) -> Path:
        """Path of a further attempt of a run.

        Args:
            record_id: Id of its record.

        Returns:
            A path without a file.
        """
        made = named(self.root / ATTEMPTS, re.compile(rf"{record_id}-\d+\.json"))
        last = max((int(path.stem.partition("-")[2]) for path in made), default=0)
        return self.root / ATTEMPTS / f"{record_id}-{last + 1}.json"

    def holds(self, file: SideFile) -> bool:
        """Whether an undamaged file of predictions is there.

        Args:
            file: The side file.

        Returns:
            True if its content has the hash.
        """
        try:
            return hashlib.sha256(self.predictions_path(file).read_bytes()).hexdigest() == file.sha256
        except OSError:
            return False


def evidence(record: Record) -> tuple[int, int, bool]:
    """What decides between two results of one run, the larger first: status, scored episodes, costs measured alone.

    Args:
        record: A record.

    Returns:
        A key to compare by.
    """
    alone = record.costs is not None and not record.costs.company
    return _QUALITY[record.status], len(record.episode_scores), alone
