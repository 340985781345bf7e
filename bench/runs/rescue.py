"""Results that the store of a run cannot keep: they are written as a store in another folder."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

from bench.contracts import StoreError
from bench.results.predictions import QueryPredictions
from bench.results.record import Record
from bench.results.store import Store

_IN_MEMORY = "in memory alone"


@dataclass
class Rescue:
    """A second place for results, used from the first one on that the store cannot keep.

    Attributes:
        store: The store of the run.
        folder: Folder of the second store; None for a new one among the system's temporary files, if it is needed.
        results: Results that the store could not keep, with their predictions, in memory until the program ends.
    """

    store: Store
    folder: Path | None = None
    results: list[tuple[Record, QueryPredictions | None]] = field(default_factory=list, init=False)
    _second: Store | None = field(default=None, init=False)
    _waiting: list[tuple[Record, QueryPredictions | None]] = field(default_factory=list, init=False)
    _in_memory: bool | None = field(default=None, init=False)

    def prepare(self) -> None:
        """Test, before any work, that the named folder can be written to.

        Raises:
            StoreError: If it cannot.
        """
        if self.folder is not None:
            try:
                Store(self.folder).prepare()
            except StoreError as error:
                raise StoreError(f"--rescue {self.folder}: {error}") from error

    def keep(self, record: Record, predictions: QueryPredictions | None, error: StoreError) -> tuple[Record, str]:
        """Keep a result that the store could not keep.

        Args:
            record: The record.
            predictions: Its predictions, if any.
            error: The store's error.

        Returns:
            The record as it was written, and a line for the user: empty where an earlier one says the same.
        """
        self.results.append((record, predictions))
        self._waiting.append((record, predictions))
        cause = error.__cause__.strerror if isinstance(error.__cause__, OSError) else error
        failed = f"records cannot be kept in {self.store.root} ({cause})"
        try:
            if self._second is None:
                self._second = Store(self.folder or Path(tempfile.mkdtemp(prefix="bench-rescue-")))
            self._second.prepare()
            while self._waiting:  # earlier ones too, where this is the first that can be written
                record = self._second.write(*self._waiting[0])
                self._waiting.pop(0)
        except (StoreError, OSError) as other:
            advice = "run again with --rescue DIR, a folder on a disk with room"
            return record, self._once(f"{failed}, and are {_IN_MEMORY} ({other}); {advice}")
        to_add = f"bench records import {quote(str(self._second.root))} --store {quote(str(self.store.root))}"
        line = f"{failed}; from now on they are kept in {self._second.root}; to add them later: {to_add}"
        return record, self._once(line)

    def _once(self, line: str) -> str:
        """A line, unless the last one was of the same kind."""
        kind = _IN_MEMORY in line
        said, self._in_memory = self._in_memory, kind
        return "" if said is kind else line
