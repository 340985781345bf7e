"""Two methods on the episodes, or the queries, that their records share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Generic

import numpy as np

from bench import registry
from bench.contracts.metric import Metric
from bench.results.identity import protocol_of
from bench.results.predictions import Integers, QueryPredictions
from bench.results.record import Record
from bench.results.scores import clusters, mean_score
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
    found, metric = None, registry.make_metric(a[0].metric)
    # Episodes of all queries are passes over one test set, and show nothing of other queries, however many they are.
    if len(shared) < LEAST_EPISODES or a[0].spec.queries is None:
        found = _by_query([[side[key] for key in shared] for side in (own, other)], metric, find)
    if found is None and len(shared) == 1:
        return None
    if found is None or len(shared) >= LEAST_EPISODES:
        together = clusters([*a, *b]) is not None
        episodes = compare_episodes(scores[0], scores[1], [key[-2] for key in shared] if together else None)
        # A claim must hold for other episodes and for other queries.
        found = episodes if found is None else max(episodes, found, key=lambda each: each.p_value)
    means = mean_score(scores[0]), mean_score(scores[1])
    low, high = metric.bounds
    interval = found.interval.clipped(low - high, high - low)
    return replace(found, a=means[0], b=means[1], difference=means[0] - means[1], interval=interval)


@dataclass(frozen=True)
class Comparisons(Generic[Name]):
    """Comparisons of all pairs of some groups of records.

    Attributes:
        apart: Pairs that differ, by tests adjusted for all pairs that can be compared.
        too_few: Whether there are too few items for any pair to differ significantly.
        hint: Number of further items with which a pair would differ significantly, and the pair, of the one that needs
            the fewest; None where no pair has a difference.
    """

    apart: set[frozenset[Name]]
    too_few: bool
    hint: tuple[str, tuple[Name, Name]] | None


def compare_all(groups: Mapping[Name, Sequence[Record]], find: Find) -> Comparisons[Name]:
    """Compare each group with each other, by tests adjusted for all pairs that can be compared.

    Args:
        groups: Records of each row.
        find: Looks up the predictions of a record.

    Returns:
        The significant pairs, or why there are none.
    """
    read: dict[str, QueryPredictions | None] = {}

    def find_once(record: Record) -> QueryPredictions | None:
        # A file is read and verified once, however many others its record is compared with.
        if record.id not in read:
            read[record.id] = find(record)
        return read[record.id]

    pairs = {(a, b): paired(groups[a], groups[b], find_once) for a, b in combinations(groups, 2)}
    made = {pair: each for pair, each in pairs.items() if each is not None}
    adjusted = holm([each.p_value for each in made.values()])
    apart = {frozenset(pair) for (pair, each), p in zip(made.items(), adjusted, strict=True) if each.is_significant(p)}
    too_few = all(each.has_too_few(len(made)) for each in made.values())
    hint = None
    if too_few:
        needs = {pair: missing_items(each, groups[pair[0]], len(made)) for pair, each in made.items()}
        known = {pair: need for pair, need in needs.items() if need is not None}
        if known:
            pair = min(known, key=lambda pair: known[pair][0])
            hint = items_text(*known[pair]), pair
    return Comparisons(apart, too_few, hint)


def missing_items(found: Paired, records: Sequence[Record], n_tests: int = 1) -> tuple[int, str] | None:
    """How many more items would show the present difference with a power of 80%, by its observed spread.

    Args:
        found: The comparison.
        records: Records of one of the methods, whose episodes per seed turn episodes into seeds.
        n_tests: Tests of the family.

    Returns:
        The number and what is counted: "seed" or "query"; None where there is no difference.
    """
    needed = found.needed_units(n_tests)
    if needed is None:
        return None
    missing = needed - found.n_independent
    if found.unit == "queries":
        return missing, "query"
    per_seed = 1 if found.clustered else max(len(record.episode_scores) for record in records)
    return -(-missing // per_seed), "seed"


def items_text(number: int, item: str) -> str:
    """For example "1 more seed" or "over 1,000 more queries"."""
    plural = {"seed": "seeds", "query": "queries"}[item]
    most = {"seed": 1000, "query": 1_000_000}[item]
    return f"over {most:,} more {plural}" if number > most else f"{number:,} more {item if number == 1 else plural}"


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
