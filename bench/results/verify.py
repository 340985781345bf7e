"""Verification of a store: intact records and predictions, and scores that agree with them."""

from collections.abc import Iterator

import numpy as np

from bench.contracts.errors import StoreError
from bench.results.predictions import QueryPredictions
from bench.results.record import Record
from bench.results.scores import mean_score
from bench.results.store import Store


def problems(store: Store) -> Iterator[str]:
    """Problems of the records of a store, one line each.

    Args:
        store: The store.

    Yields:
        The problem of a file.

    Raises:
        StoreError: If there are no records.
    """
    if not store.paths():
        next(iter(store))
    for path in store.paths():
        try:
            record = store.read(path)
            predictions = store.predictions(record)
        except StoreError as error:
            yield str(error)
            continue
        if predictions is not None and (contradiction := _contradiction(record, predictions)):
            yield f"{path} contradicts its predictions: {contradiction}; delete it to run again"


def _contradiction(record: Record, predictions: QueryPredictions) -> str | None:
    """Difference between a record and its predictions, in words; None if they agree."""
    if len(predictions) != record.n_queries:
        return f"the record has {record.n_queries} queries, the predictions have {len(predictions)}"
    scores = predictions.episode_scores()
    if len(scores) != len(record.episode_scores) or not np.allclose(scores, record.episode_scores, rtol=1e-9):
        return "the scores of the episodes differ"
    if record.value is None or not np.isclose(mean_score(scores), record.value, rtol=1e-9):
        return f"the record's value is {record.value}, that of the predictions {mean_score(scores)}"
    return None
