"""Is every record whole, its outcomes with it, and does its score follow from them?"""

from collections.abc import Iterator

import numpy as np

from bench.contracts.errors import StoreError
from bench.results.predictions import QueryPredictions
from bench.results.record import Record
from bench.results.scores import mean_score
from bench.results.store import Store


def problems(store: Store) -> Iterator[str]:
    """What is wrong with the records of a store, one line each; none if it can be trusted.

    Raises StoreError if there are no records.
    """
    if not store.paths():
        next(iter(store))
    for path in store.paths():
        try:
            record = store.read(path)
            outcomes = store.predictions(record)
        except StoreError as error:
            yield str(error)
            continue
        if outcomes is not None and (contradiction := _contradiction(record, outcomes)):
            yield f"{path} contradicts its outcomes: {contradiction}; delete it to run again"


def _contradiction(record: Record, outcomes: QueryPredictions) -> str | None:
    """What a record says that does not follow from what became of its queries; None if all does."""
    if len(outcomes) != record.n_queries:
        return f"it has {record.n_queries} queries, they are {len(outcomes)}"
    scores = outcomes.episode_scores()
    if len(scores) != len(record.episode_scores) or not np.allclose(scores, record.episode_scores, rtol=1e-9):
        return "its episodes have other scores"
    if record.value is None or not np.isclose(mean_score(scores), record.value, rtol=1e-9):
        return f"its value is {record.value}, theirs {mean_score(scores)}"
    return None
