"""Superfluous files of a store."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.contracts.errors import StoreError
from bench.results.grouping import chosen_versions, records_by_version
from bench.results.record import Record
from bench.results.store import Store
from bench.results.store_files import (
    FOLDERS,
    OLD_PREDICTIONS,
    PARTIAL,
    PARTIAL_FILE,
    PREDICTIONS,
    PREDICTIONS_FILE,
    RATIOS,
    RATIOS_FILE,
    named,
)
from bench.toolkit.temporary import leftovers


def superfluous(store: Store, superseded: bool, failed: bool) -> Iterator[tuple[Path, str]]:
    """Files to delete, each with the reason.

    Files that no record names are always among them. A damaged record is left as it is, with its predictions. The order
    is one in which a crash leaves no record without its predictions.

    Args:
        store: The store.
        superseded: Whether records are among them that leaderboards leave out for a later version with as many
            episodes.
        failed: Whether records of failed runs are among them, which the next ``bench run`` makes again, and attempts
            that were worse than the record of their run, and the predictions of unfinished runs, from which they
            would go on.

    Yields:
        Path and reason.

    """
    records = list(store) if store.paths() else []
    for path in unnamed(store, records):
        yield path, "no record names it"
    ended = {record.id for record in records if record.status != "failed"}
    for path in named(store.root / PARTIAL, PARTIAL_FILE):
        if failed or path.stem in ended:
            yield path, "predictions of an unfinished run"
    if failed:
        for path in store.attempts():
            yield path, "a failed attempt, whose run has a better record"
    outdated = {record.id for record in _superseded(records)}
    for record in records:
        reasons = {
            "superseded by a later version": superseded and record.id in outdated,
            "failed": failed and record.status == "failed",
        }
        if reason := next((reason for reason, applies in reasons.items() if applies), None):
            yield store.path(record.id), reason
            if record.predictions is not None:
                yield store.predictions_path(record.predictions), f"its record is deleted: {reason}"


def unnamed(store: Store, records: Iterable[Record]) -> list[Path]:
    """Files that no record names, from a killed program or a run that was repeated.

    Args:
        store: The store.
        records: Its records.

    Returns:
        Paths in order; predictions and ratios of a record that cannot be read are not among them.
    """
    readable = {record.id: record for record in records}
    attempts = [attempt for path in store.attempts() if (attempt := _readable(store, path)) is not None]
    naming = [*readable.values(), *attempts]
    kept = {record.predictions.name for record in naming if record.predictions is not None}
    damaged = {path.stem for path in store.paths()} - readable.keys()
    predictions = [
        path
        for folder in (PREDICTIONS, OLD_PREDICTIONS)
        for path in named(store.root / folder, PREDICTIONS_FILE)
        if path.name not in kept and path.name.partition("-")[0] not in damaged
    ]
    ids = readable.keys() | damaged
    ratios = [path for path in named(store.root / RATIOS, RATIOS_FILE) if not set(path.stem.split("-")) <= ids]
    return sorted(predictions + ratios + [path for folder in FOLDERS for path in leftovers(store.root / folder)])


def _readable(store: Store, path: Path) -> Record | None:
    try:
        return store.read(path)
    except StoreError:
        return None


def _superseded(records: Iterable[Record]) -> Iterator[Record]:
    """Records that reports leave out and that have no more episodes than those in their place."""
    for chosen, others in chosen_versions(records):
        scored = sum(len(record.episode_scores) for record in chosen)
        for version in records_by_version(others):
            if sum(len(record.episode_scores) for record in version) <= scored:
                yield from version
