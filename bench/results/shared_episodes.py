"""Two methods on what both answered: the episodes, or queries, that their records share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from bench.results.identity import protocol_of
from bench.results.predictions import SCORES, Floats, Integers, QueryPredictions
from bench.results.record import Record
from bench.stats.intervals import Name
from bench.stats.paired import Paired, compare_answers, compare_episodes, compare_parts, holm

Find = Callable[[Record], QueryPredictions | None]
"""Looks up what became of a record's queries; ``Store.predictions`` is one."""
Episode = tuple[Any, ...]
LEAST_EPISODES = 6
"""Wilcoxon's test can claim nothing of fewer: 2 / 2**5 is more than 5%."""


def draw_key(record: Record) -> Episode:
    """What a record's episodes were drawn from. The seed is missing: ``episodes`` adds it."""
    spec = record.spec
    return spec.task, record.identity.get("data"), spec.ways, spec.queries, protocol_of(record.identity)


def _episodes(records: Sequence[Record]) -> dict[Episode, tuple[Record, int]]:
    """Each episode by what names it, with the record that it is in and its number there."""
    return {
        (*draw_key(record), record.spec.seed, number): (record, number)
        for record in records
        for number in range(len(record.episode_scores))
    }


def paired(a: Sequence[Record], b: Sequence[Record], find: Find) -> Paired | None:
    """Compare the records of two methods, each of all its seeds, on what they share.

    Episodes are compared where there are six of them, else their queries. None where neither can be: nothing is
    shared, the metrics differ, or there is one episode whose outcomes were not kept.
    """
    own, other = _episodes(a), _episodes(b)
    shared = [key for key in own if key in other]
    if not shared or a[0].metric != b[0].metric:
        return None
    if len(shared) < LEAST_EPISODES:
        sides = [_by_query([side[key] for key in shared], find) for side in (own, other)]
        if sides[0] is not None and sides[1] is not None:
            return _compare_queries(sides[0], sides[1], a[0].metric)
        if len(shared) == 1:
            return None
    scores = [
        np.array([record.episode_scores[number] for record, number in (side[key] for key in shared)])
        for side in (own, other)
    ]
    return compare_episodes(scores[0], scores[1], [key[-2] for key in shared])


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


def _by_query(episodes: Sequence[tuple[Record, int]], find: Find) -> tuple[Integers, Floats] | None:
    """The queries ``[query]`` of some episodes, each once, with their parts ``[query, part]`` summed over episodes."""
    queries, parts = [], []
    for record, number in episodes:
        outcomes = find(record)
        if outcomes is None:
            return None
        mine = outcomes.episode == number
        queries.append(outcomes.query[mine])
        parts.append(outcomes.parts[mine])
    each, index = np.unique(np.concatenate(queries), return_inverse=True)
    summed = np.zeros((len(each), parts[0].shape[1]))
    np.add.at(summed, index, np.concatenate(parts))
    return each, summed


def _compare_queries(a: tuple[Integers, Floats], b: tuple[Integers, Floats], metric: str) -> Paired | None:
    _, at_a, at_b = np.intersect1d(a[0], b[0], assume_unique=True, return_indices=True)
    if len(at_a) < 2:
        return None
    own, other = a[1][at_a], b[1][at_b]
    if metric != "accuracy":
        return compare_parts(own, other, SCORES[metric])
    if (own[:, 1] == 1).all():
        return compare_answers(own[:, 0], other[:, 0])
    # A query that several episodes ask counts once, by how often it was answered right.
    shares = [SCORES[metric](side) for side in (own, other)]
    return replace(compare_episodes(shares[0], shares[1], [0] * len(own)), unit="queries")
