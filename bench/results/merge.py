"""Import of records from another store: verified, then copied with their predictions and attempts."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.contracts.errors import StoreError
from bench.results.record import SideFile
from bench.results.store import Store, evidence
from bench.results.store_files import ATTEMPTS, PREDICTIONS, named
from bench.results.verify import problem_of
from bench.toolkit.durable import make_folder, write_atomic


@dataclass
class Imported:
    """Result of an import.

    Attributes:
        copied: Number of records of runs that the store did not have.
        replaced: Number of records that took the place of one with less evidence, which was put among the attempts.
        attempts: Number of records and attempts that were put among the attempts.
        known: Number of records and attempts that the store already had.
        refused: A line for each file that did not pass verification.
    """

    copied: int = 0
    replaced: int = 0
    attempts: int = 0
    known: int = 0
    refused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = {
            "copied": self.copied,
            "in place of a worse one": self.replaced,
            "put among the attempts": self.attempts,
            "already there": self.known,
            "refused": len(self.refused),
        }
        return "records: " + ", ".join(f"{number} {what}" for what, number in counts.items())


def import_store(source: Store, target: Store, notify: Callable[[str], None], imported: Imported) -> None:
    """Copy the records of a store that pass verification to another one.

    Args:
        source: Store to read.
        target: Store to write; of two results of a run it keeps the one with more evidence, and puts the other among
            its attempts.
        notify: Receiver of a line about a wait for another process.
        imported: Counts, which are added to.

    Raises:
        StoreError: If the source has no records, or the target cannot be written.
    """
    if not source.paths():
        raise StoreError(f"no records in {source.root}; name folders of records")
    counts = Counter[str]()
    for path in [*source.paths(), *source.attempts()]:
        if (problem := problem_of(source, path)) is not None:
            imported.refused.append(problem)
            continue
        record_id = path.stem.partition("-")[0]
        try:
            with target.claim(record_id, "a record that is imported", notify):
                counts[_copied(source, target, path, record_id)] += 1
        except OSError as error:
            raise StoreError(
                f"records cannot be imported to {target.root}: {error}; free space, and repeat the command"
            ) from error
    for name, number in counts.items():
        setattr(imported, name, getattr(imported, name) + number)


def _copied(source: Store, target: Store, path: Path, record_id: str) -> str:
    """Copy a record; the name of the count that it belongs to."""
    record, content = source.read(path), path.read_bytes()
    own = target.path(record_id)
    there = [own] if own.exists() else []
    same = any(each.read_bytes() == content for each in [*there, *_attempts(target, record_id)])
    if record.predictions is not None and not target.holds(record.predictions):
        _write(target.root / PREDICTIONS / record.predictions.name, _content(source, record.predictions))
    if same:
        return "known"
    kept = target.kept(record_id)
    if path.parent.name == ATTEMPTS or (kept is not None and evidence(record) <= evidence(kept)):
        _write(target.next_attempt(record_id), content)
        return "attempts"
    if kept is not None:
        _write(target.next_attempt(record_id), own.read_bytes())
    _write(own, content)
    target.remove_partial(record)
    return "copied" if kept is None else "replaced"


def _attempts(store: Store, record_id: str) -> list[Path]:
    return named(store.root / ATTEMPTS, re.compile(rf"{record_id}-\d+\.json"))


def _content(store: Store, file: SideFile) -> bytes:
    return store.predictions_path(file).read_bytes()


def _write(path: Path, content: bytes) -> None:
    make_folder(path.parent)
    write_atomic(path, content)
