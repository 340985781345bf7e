"""Superfluous files of a store."""

from collections.abc import Iterator
from pathlib import Path

from bench.results.grouping import current
from bench.results.store import Store


def superfluous(store: Store, superseded: bool, failed: bool) -> Iterator[tuple[Path, str]]:
    """Files to delete, each with the reason.

    Files that no record names are always among them. The order is one in which a crash leaves no record without its
    predictions.

    Args:
        store: The store.
        superseded: Whether records with a later version are among them; leaderboards leave these out.
        failed: Whether records of failed runs are among them; the next ``bench run`` makes these again in any case.

    Yields:
        Path and reason.

    Raises:
        StoreError: If a record is damaged.
    """
    for path in store.leftovers():
        yield path, "no record names it"
    records = [store.read(path) for path in store.paths()]
    latest = {record.id for record in current(records)}
    for record in records:
        reasons = {
            "superseded by a later version": superseded and record.id not in latest,
            "failed": failed and record.status == "failed",
        }
        if reason := next((reason for reason, applies in reasons.items() if applies), None):
            yield store.path(record.id), reason
            if record.predictions is not None:
                yield store.predictions_path(record.predictions), f"its record is deleted: {reason}"
