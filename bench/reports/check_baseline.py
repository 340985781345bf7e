"""Baselines: stores of records to compare with."""

from bench.results.grouping import current
from bench.results.predictions import QueryPredictions
from bench.results.record import Record
from bench.results.row_sample import Find
from bench.results.selection import whole_runs
from bench.results.store import Store


def replace(baseline: Store, now: Store) -> int:
    """Make the latest version of each run the baseline.

    Records of the earlier baseline are deleted last, so that a crash leaves too many rather than too few. No other file
    of the folder is touched: damaged records and what is no record stay.

    Args:
        baseline: Store of the baseline.
        now: Store of present records.

    Returns:
        Number of records of the new baseline.

    Raises:
        UsageError: If all present records are of quick looks.
    """
    earlier = baseline.scan()[0] if baseline.paths() else []
    whole = whole_runs(now, "a baseline")
    kept = {record.id: baseline.write(record, now.predictions(record)) for record in current(whole)}
    for record in earlier:
        new = kept.get(record.id)
        if new is None:
            baseline.path(record.id).unlink(missing_ok=True)
        if record.predictions is not None and (new is None or new.predictions != record.predictions):
            baseline.predictions_path(record.predictions).unlink(missing_ok=True)
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
