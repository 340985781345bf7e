"""Baselines: stores of records to compare with."""

from bench.results.grouping import current
from bench.results.predictions import QueryPredictions
from bench.results.record import Record
from bench.results.shared_episodes import Find
from bench.results.store import Store


def replace(baseline: Store, now: Store) -> int:
    """Make the latest version of each run the baseline.

    Files of the earlier baseline are deleted last, so that a crash leaves too many rather than too few.

    Args:
        baseline: Store of the baseline.
        now: Store of present records.

    Returns:
        Number of records of the new baseline.
    """
    kept = {record.id: baseline.write(record, now.predictions(record)) for record in current(now)}
    for path in baseline.paths():
        if path.stem not in kept:
            path.unlink()
    for path in baseline.leftovers():
        path.unlink()
    return len(kept)


def both(*stores: Store) -> Find:
    """Lookup of predictions in several stores; a file's name is a hash of its content, so the order does not matter.

    Args:
        *stores: The stores.

    Returns:
        Function from a record to its predictions.
    """

    def find(record: Record) -> QueryPredictions | None:
        holding = [
            store
            for store in stores
            if record.predictions is not None and store.predictions_path(record.predictions).exists()
        ]
        return (holding or stores)[0].predictions(record)

    return find
