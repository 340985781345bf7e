"""Two methods on the episodes, or the queries, that their records share."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from bench.contracts.metric import Metric
from bench.results.record import Record
from bench.results.row_sample import Episode, Find, RowSample, Samples, episode_names
from bench.results.row_tests import tests_of_all
from bench.results.scores import mean_score
from bench.stats.comparison import Paired
from bench.stats.intervals import ALPHA, LEAST_EPISODES, Floats, Name
from bench.stats.paired import compare_episodes, holm


def shared_text(a: Sequence[Record], b: Sequence[Record]) -> str:
    """How many episodes two methods share, where it is not all of both; else empty."""
    own, other = (_names(side) for side in (a, b))
    shared = len(own & other)
    return "" if shared == len(own) == len(other) else f"{shared} of {len(own)} and {len(other)} episodes are shared"


def _names(records: Sequence[Record]) -> set[Episode]:
    return {name for record in records for name in episode_names(record)}


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
    return paired_at([a, b], [(0, 1)], find)[0, 1]


def with_detectable(a: Sequence[Record], b: Sequence[Record], find: Find) -> tuple[Paired, float | None] | None:
    """The comparison of two methods, with the smallest difference that such a one finds.

    Args:
        a: Records of one method.
        b: Records of another.
        find: Looks up the predictions of a record.

    Returns:
        As by ``paired``, and ``Paired.detectable``; None where nothing can be tested.
    """
    found = paired(a, b, find)
    return None if found is None else (found, found.detectable)


def paired_at(
    rows: Sequence[Sequence[Record]], pairs: Collection[tuple[int, int]], find: Find
) -> dict[tuple[int, int], Paired | None]:
    """Compare some pairs of rows, each as by ``paired``; what a row has is read once for all of its pairs.

    Args:
        rows: Records of each row.
        pairs: Places of the two rows of each pair.
        find: Looks up the predictions of a record.

    Returns:
        The comparison of each pair, None where nothing can be tested.
    """
    samples = Samples(find)
    made = {place: samples.row(rows[place]) for place in {place for pair in pairs for place in pair}}
    return {(one, other): _paired(made[one], made[other], samples) for one, other in pairs}


def _paired(own: RowSample, other: RowSample, samples: Samples) -> Paired | None:
    """The comparison of two rows; see ``paired``."""
    shared = samples.shared(own, other)
    n_shared = len(shared.names)
    if n_shared == 0 or own.records[0].metric != other.records[0].metric:
        return None
    scores, others, metric = own.scores_of(shared), other.scores_of(shared), samples.metric(own)
    found = None
    # Episodes of all queries are passes over one test set, and show nothing of other queries, however many they are.
    if n_shared < LEAST_EPISODES or own.records[0].spec.queries is None:
        found = _by_query(samples.tables(own, other, shared), metric)
    if found is None and n_shared == 1:
        return None
    if found is None or n_shared >= LEAST_EPISODES:
        episodes = compare_episodes(scores, others, shared.seeds if own.shares_draws or other.shares_draws else None)
        # A claim must hold for other episodes and for other queries.
        found = episodes if found is None else max(episodes, found, key=lambda each: each.p_value)
    means = mean_score(scores), mean_score(others)
    low, high = metric.bounds
    interval = found.interval.clipped(low - high, high - low)
    return replace(found, a=means[0], b=means[1], difference=means[0] - means[1], interval=interval)


@dataclass(frozen=True)
class Comparisons(Generic[Name]):
    """Comparisons of all pairs of some groups of records.

    Attributes:
        apart: Pairs that differ, by tests adjusted for all pairs that can be compared, and whose scores over all of
            their episodes stand in the order that the test found on the shared ones.
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
    samples, names = Samples(find), list(groups)
    rows = [samples.row(records) for records in groups.values()]
    found = tests_of_all(rows, samples)
    for pair in np.flatnonzero(np.isnan(found.p_values)):
        alone = _paired(rows[found.first[pair]], rows[found.second[pair]], samples)
        if alone is not None:
            found.keep(pair, alone.p_value, alone.interval.excludes_zero(), alone.least_p)
    made = np.flatnonzero(~np.isnan(found.p_values))
    adjusted: Floats = np.array(holm(found.p_values[made].tolist()))
    pairs = [(names[a], names[b]) for a, b in zip(found.first[made], found.second[made], strict=True)]
    differ = np.flatnonzero((adjusted < ALPHA) & found.excludes_zero[made])
    places = zip(found.first[made[differ]], found.second[made[differ]], strict=True)
    apart = {
        frozenset(pairs[pair])
        for pair, (a, b) in zip(differ, places, strict=True)
        if _in_order(rows[a], rows[b], samples)
    }
    too_few = bool((found.least_p[made] * len(made) >= ALPHA).all())
    hint = _hint(dict(zip(names, rows, strict=True)), pairs, samples) if too_few else None
    return Comparisons(apart, too_few, hint)


def _in_order(own: RowSample, other: RowSample, samples: Samples) -> bool:
    """Whether the better of two rows on the episodes that they share also has the better score of its own."""
    if own.episodes is other.episodes:
        return True
    shared = samples.shared(own, other)
    found = mean_score(own.scores_of(shared)) - mean_score(other.scores_of(shared))
    return found * (mean_score(own.scores) - mean_score(other.scores)) > 0


def _hint(
    rows: Mapping[Name, RowSample], pairs: Sequence[tuple[Name, Name]], samples: Samples
) -> tuple[str, tuple[Name, Name]] | None:
    """The pair that needs the fewest further items to differ significantly, and their number."""
    fewest: tuple[tuple[int, str], tuple[Name, Name]] | None = None
    for a, b in pairs:
        found = _paired(rows[a], rows[b], samples)
        need = None if found is None else missing_items(found, rows[a].records, len(pairs))
        if need is not None and (fewest is None or need[0] < fewest[0][0]):
            fewest = need, (a, b)
    return None if fewest is None else (items_text(*fewest[0]), fewest[1])


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


def _by_query(tables: tuple[Floats, Floats, NDArray[np.bool_]] | None, metric: Metric) -> Paired | None:
    """The comparison of two methods on the queries of the same few episodes; None where they were not kept."""
    if tables is None:
        return None
    own, other, present = tables
    if len(present) < 2 or not present.any(axis=0).all():
        return None
    return metric.compare(own, other, present)
