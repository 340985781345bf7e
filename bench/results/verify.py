"""Verification of a store: intact records and predictions, fields and scores that agree with each other."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bench.contracts.errors import StoreError
from bench.results.predictions import QueryPredictions
from bench.results.record import Record
from bench.results.record_text import DIGEST, record_content
from bench.results.scores import agrees, mean_score
from bench.results.store import Store
from bench.results.ties import contradictions

_LAST_DIGEST = re.compile(rf'"{DIGEST}": "[0-9a-f]{{64}}"\n\}}\Z')


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
    yield from filter(None, (problem_of(store, path) for path in store.paths()))


def problem_of(store: Store, path: Path) -> str | None:
    """Problem of one record.

    Args:
        store: Its store.
        path: Its file.

    Returns:
        One line that names the file; None if the record is intact and agrees with its predictions and with itself.
    """
    try:
        record = store.read(path)
        predictions = store.predictions(record)
    except StoreError as error:
        return str(error)
    if predictions is not None and (contradiction := _contradiction(record, predictions)):
        return f"{path} contradicts its predictions: {contradiction}; delete it to run again"
    if found := list(contradictions(record)):
        return f"{path} contradicts itself: {'; '.join(found)}; delete it to run again"
    return None


def without_digest(store: Store) -> int:
    """Number of records whose files have no digest: a change that contradicts nothing is not found in them.

    Args:
        store: The store.

    Returns:
        The number; records of schema 5 and earlier.
    """
    found = 0
    for path in store.paths():
        with suppress(OSError, ValueError):
            text = path.read_text(encoding="utf-8")
            # As files are written it is the last field, for which nothing needs to be parsed.
            found += not _LAST_DIGEST.search(text) and DIGEST not in record_content(text)
    return found


def _contradiction(record: Record, predictions: QueryPredictions) -> str | None:
    """Difference between a record and its predictions, in words; None if they agree."""
    if len(predictions) != record.n_queries:
        return f"the record has {record.n_queries} queries, the predictions have {len(predictions)}"
    scores = predictions.episode_scores()
    if len(scores) != len(record.episode_scores) or not all(map(agrees, scores, record.episode_scores)):
        return "the scores of the episodes differ"
    if record.value is None or not agrees(mean_score(scores), record.value):
        return f"the record's value is {record.value}, that of the predictions {mean_score(scores)}"
    return None
