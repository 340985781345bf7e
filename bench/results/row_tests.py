"""Paired tests of all pairs of a board's rows, of those at once that have the same episodes and queries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.results.row_sample import EpisodeSet, RowSample, Samples
from bench.stats.intervals import LEAST_EPISODES, Floats
from bench.stats.paired_many import Flags, Places, Tests, unit_tests


@dataclass(frozen=True)
class AllTests:
    """Tests of all pairs of some rows.

    Attributes:
        first: ``[pair]``, place of the first row of each pair.
        second: ``[pair]``, place of the second row, which is behind the first.
        p_values: ``[pair]``, NaN where there is no test.
        excludes_zero: ``[pair]``, whether the interval of the difference is on one side of zero.
        least_p: ``[pair]``, smallest p-value that the test can have.
    """

    first: Places
    second: Places
    p_values: Floats
    excludes_zero: Flags
    least_p: Floats

    @classmethod
    def none(cls, n_rows: int) -> "AllTests":
        """All pairs without a test.

        Args:
            n_rows: Number of rows.

        Returns:
            The pairs.
        """
        first, second = np.triu_indices(n_rows, 1)
        return cls(first, second, np.full(len(first), np.nan), np.zeros(len(first), dtype=bool), np.zeros(len(first)))

    def keep(
        self, pairs: Places | np.intp, p_values: Floats | float, excludes_zero: Flags | bool, least_p: Floats | float
    ) -> None:
        """Keep tests.

        Args:
            pairs: Their places.
            p_values: Their p-values.
            excludes_zero: As the attribute.
            least_p: As the attribute.
        """
        self.p_values[pairs], self.excludes_zero[pairs], self.least_p[pairs] = p_values, excludes_zero, least_p


def tests_of_all(rows: Sequence[RowSample], samples: Samples) -> AllTests:
    """Test the pairs of rows that can be tested at once.

    Args:
        rows: The rows.
        samples: What they were made by.

    Returns:
        All pairs; pairs of rows that differ in their episodes or queries are without a test.
    """
    found = AllTests.none(len(rows))
    alike: dict[tuple[EpisodeSet, str, bool], list[int]] = {}
    for place, row in enumerate(rows):
        first = row.records[0]
        alike.setdefault((row.episodes, first.metric, first.spec.queries is None), []).append(place)
    for (episodes, _, all_queries), places in alike.items():
        chosen = np.zeros(len(rows), dtype=bool)
        chosen[places] = True
        pairs = np.flatnonzero(chosen[found.first] & chosen[found.second])
        few = len(episodes.names) < LEAST_EPISODES
        if len(pairs):
            tests = None
            if few or all_queries:
                tests = _by_query(rows, places, samples, found.first[pairs], found.second[pairs])
            if not few and (tests is not None or not all_queries):
                tests = _larger(_by_episode(rows, episodes, found.first[pairs], found.second[pairs]), tests)
            if tests is not None:
                found.keep(pairs, tests.p_values, tests.excludes_zero, tests.least_p)
    return found


def _by_episode(rows: Sequence[RowSample], episodes: EpisodeSet, first: Places, second: Places) -> Tests:
    """Tests on the episodes of all of the rows."""
    shares = np.array([row.shares_draws for row in rows])
    scores = np.stack(
        [row.scores if row.episodes is episodes else np.full(len(episodes.names), np.nan) for row in rows]
    )
    clustered = shares[first] | shares[second]
    found = Tests(np.ones(len(first)), np.zeros(len(first), dtype=bool), np.zeros(len(first)))
    for flags, clusters in ((clustered, episodes.seeds), (~clustered, None)):
        made = unit_tests(scores, first[flags], second[flags], clusters)
        found.p_values[flags], found.excludes_zero[flags] = made.p_values, made.excludes_zero
        found.least_p[flags] = made.least_p
    return found


def _by_query(
    rows: Sequence[RowSample], places: Sequence[int], samples: Samples, first: Places, second: Places
) -> Tests | None:
    """Tests on the queries of rows; None where these differ, were not kept, or the metric has no test of many pairs."""
    read = [samples.queries(rows[place], rows[places[0]].episodes) for place in places]
    known = [each for each in read if each is not None]
    layouts = {id(each[0]): each[0] for each in known}
    if len(known) < len(read) or len(layouts) > 1:
        return None
    present = known[0][0].present
    if len(present) < 2 or not present.any(axis=0).all():
        return None
    within = np.zeros(len(rows), dtype=np.intp)
    within[list(places)] = np.arange(len(places))
    tables = np.stack([table for _, _, table in known])
    return samples.metric(rows[places[0]]).compare_pairs(tables, present, within[first], within[second])


def _larger(episodes: Tests, queries: Tests | None) -> Tests:
    """Of two tests of each pair the one with the larger p-value."""
    if queries is None:
        return episodes
    return Tests(
        *(
            np.where(queries.p_values > episodes.p_values, getattr(queries, name), getattr(episodes, name))
            for name in ("p_values", "excludes_zero", "least_p")
        )
    )
