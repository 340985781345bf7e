"""Superfluous files of a store."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.results.grouping import chosen_versions, records_by_version
from bench.results.record import Record
from bench.results.store import Store


def superfluous(store: Store, superseded: bool, failed: bool) -> Iterator[tuple[Path, str]]:
    """Files to delete, each with the reason.

    Files that no record names are always among them. The order is one in which a crash leaves no record without its
    predictions.

    Args:
        store: The store.
        superseded: Whether records are among them that leaderboards leave out for a later version with as many
            episodes.
        failed: Whether records of failed runs are among them, which the next ``bench run`` makes again, and attempts
            that were worse than the record of their run.

    Yields:
        Path and reason.

    Raises:
        StoreError: If a record is damaged.
    """
    for path in store.leftovers():
        yield path, "no record names it"
    if failed:
        for path in store.attempts():
            yield path, "a failed attempt, whose run has a better record"
    records = [store.read(path) for path in store.paths()]
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


def _superseded(records: Iterable[Record]) -> Iterator[Record]:
    """Records that reports leave out and that have no more episodes than those in their place."""
    for chosen, others in chosen_versions(records):
        scored = sum(len(record.episode_scores) for record in chosen)
        for version in records_by_version(others):
            if sum(len(record.episode_scores) for record in version) <= scored:
                yield from version
