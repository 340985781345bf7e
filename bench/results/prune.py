"""What a store can do without."""

from collections.abc import Iterator
from pathlib import Path

from bench.results.grouping import current
from bench.results.store import Store


def superfluous(store: Store, superseded: bool, failed: bool) -> Iterator[tuple[Path, str]]:
    """Files that can go, each with the reason, in an order in which a crash leaves no record without its predictions.

    superseded: records of which there is a later version, as leaderboards leave them out. failed: records of runs that
    failed, which the next ``bench run`` makes again in any case. What nothing names goes always.
    Raises StoreError if a record is damaged.
    """
    for path in store.leftovers():
        yield path, "nothing names it"
    records = [store.read(path) for path in store.paths()]
    latest = {record.id for record in current(records)}
    for record in records:
        reasons = {
            "there is a later version": superseded and record.id not in latest,
            "it failed": failed and record.status == "failed",
        }
        if reason := next((reason for reason, applies in reasons.items() if applies), None):
            yield store.path(record.id), reason
            if record.predictions is not None:
                yield store.predictions_path(record.predictions), f"its record goes: {reason}"
