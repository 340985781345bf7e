"""Two methods on the episodes, or the queries, that their records share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from bench import registry
from bench.contracts.metric import Metric
from bench.results.identity import protocol_of
from bench.results.predictions import Integers, QueryPredictions
from bench.results.record import Record
from bench.results.scores import mean_score
from bench.stats.intervals import LEAST_EPISODES, Floats, Name
from bench.stats.paired import Paired, compare_episodes, holm

Find = Callable[[Record], QueryPredictions | None]
"""Looks up the predictions of a record; ``Store.predictions`` is one."""
Episode = tuple[Any, ...]


def draw_key(record: Record) -> Episode:
    """What a record's episodes were drawn from. The seed is missing: ``_episodes`` adds it."""
    spec = record.spec
    return spec.task, record.identity.get("data"), spec.ways, spec.queries, protocol_of(record.identity)


def _episodes(records: Sequence[Record]) -> dict[Episode, tuple[Record, int]]:
    """Each episode by what names it, with the record that it is in and its number there."""
    return {
        (*draw_key(record), record.spec.seed, number): (record, number)
        for record in records
        for number in range(len(record.episode_scores))
    }


def shared_text(a: Sequence[Record], b: Sequence[Record]) -> str:
    """How many episodes two methods share, where it is not all of both; else empty."""
    own, other = _episodes(a), _episodes(b)
    shared = len(own.keys() & other.keys())
    return "" if shared == len(own) == len(other) else f"{shared} of {len(own)} and {len(other)} episodes are shared"


def paired(a: Sequence[Record], b: Sequence[Record], find: Find) -> Paired | None:
    """Compare the records of two methods, each of all its seeds, on what they share.

    Both scores are means over the shared episodes, as everywhere: where all are shared, they are those of the
    leaderboard. They are tested by episodes where there are six of them, else by queries.

    Args:
        a: Records of one method.
        b: Records of another.
        find: Looks up the predictions of a record.

    Returns:
        None where nothing can be tested: no episode is shared, the metrics differ, or there is one episode whose
        predictions were not kept.
    """
    own, other = _episodes(a), _episodes(b)
    shared = [key for key in own if key in other]
    if not shared or a[0].metric != b[0].metric:
        return None
    scores = [
        np.array([record.episode_scores[number] for record, number in (side[key] for key in shared)])
        for side in (own, other)
    ]
    found = None
    if len(shared) < LEAST_EPISODES:
        metric = registry.make_metric(a[0].metric)
        found = _by_query([[side[key] for key in shared] for side in (own, other)], metric, find)
    if found is None:
        if len(shared) == 1:
            return None
        found = compare_episodes(scores[0], scores[1], [key[-2] for key in shared])
    means = mean_score(scores[0]), mean_score(scores[1])
    return replace(found, a=means[0], b=means[1], difference=means[0] - means[1])


def significant_pairs(groups: Mapping[Name, Sequence[Record]], find: Find) -> set[frozenset[Name]]:
    """The pairs of groups that differ, by tests adjusted for all pairs that can be compared."""
    read: dict[str, QueryPredictions | None] = {}

    def find_once(record: Record) -> QueryPredictions | None:
        # A file is read and verified once, however many others its record is compared with.
        if record.id not in read:
            read[record.id] = find(record)
        return read[record.id]

    pairs = {(a, b): paired(groups[a], groups[b], find_once) for a, b in combinations(groups, 2)}
    made = {pair: each for pair, each in pairs.items() if each is not None}
    adjusted = holm([each.p_value for each in made.values()])
    return {frozenset(pair) for (pair, each), p in zip(made.items(), adjusted, strict=True) if each.is_significant(p)}


def _by_query(sides: Sequence[Sequence[tuple[Record, int]]], metric: Metric, find: Find) -> Paired | None:
    """The comparison of two methods on the queries of the same few episodes; None where they were not kept."""
    own, other = (_queries(side, find) for side in sides)
    if own is None or other is None:
        return None
    (own_keys, own_parts), (other_keys, other_parts) = own, other
    keys, at_own, at_other = np.intersect1d(own_keys, other_keys, assume_unique=True, return_indices=True)
    n_episodes = len(sides[0])
    queries, rows = np.unique(keys // n_episodes, return_inverse=True)
    present = np.zeros((len(queries), n_episodes), dtype=bool)
    present[rows, keys % n_episodes] = True
    if len(queries) < 2 or not present.any(axis=0).all():
        return None
    tables = []
    for parts in (own_parts[at_own], other_parts[at_other]):
        table = np.zeros((*present.shape, parts.shape[1]))
        table[rows, keys % n_episodes] = parts
        tables.append(table)
    return metric.compare(tables[0], tables[1], present)


def _queries(episodes: Sequence[tuple[Record, int]], find: Find) -> tuple[Integers, Floats] | None:
    """The queries of some episodes: ``[item]`` keys, one for each query and episode, and ``[item, part]``."""
    keys, parts = [], []
    for place, (record, number) in enumerate(episodes):
        predictions = find(record)
        if predictions is None:
            return None
        mine = predictions.episode == number
        keys.append(predictions.query[mine] * len(episodes) + place)
        parts.append(predictions.parts[mine])
    return np.concatenate(keys), np.concatenate(parts)
