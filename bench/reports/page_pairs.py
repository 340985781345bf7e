"""Comparisons by queries for the leaderboard's page, whose scripts compare two rows by their episodes alone."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, islice

from pydantic import BaseModel, ConfigDict

from bench.reports.row import Row
from bench.results.record import Record
from bench.results.row_sample import Find, episode_names
from bench.results.shared_episodes import paired_at
from bench.stats.comparison import Paired
from bench.stats.intervals import LEAST_EPISODES

MOST_PAIRS = 2000
"""Most comparisons of a page, in the order of the leaderboard; the command makes the others."""


class PairData(BaseModel):
    """A comparison of two rows: scores, difference with its interval, p-value, test and units, as of ``Paired``."""

    model_config = ConfigDict(frozen=True)

    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    test: str
    unit: str
    n_units: int
    too_few: bool

    @classmethod
    def of(cls, found: Paired) -> "PairData":
        """The data of a comparison."""
        return cls(
            a=found.a, b=found.b, difference=found.difference, low=found.interval.low, high=found.interval.high,
            p=found.p_value, test=found.test, unit=found.unit, n_units=found.n_units, too_few=found.has_too_few(),
        )  # fmt: skip


def pairs_by_query(rows: Sequence[Row], records: Mapping[str, Record], find: Find) -> dict[tuple[int, int], PairData]:
    """Compare the rows that share episodes, but too few, or passes over a whole test set.

    Args:
        rows: Rows of the leaderboard.
        records: Their records by id.
        find: Looks up the predictions of a record.

    Returns:
        Comparisons by the places of their rows, the smaller one first.
    """
    own = [[records[one] for one in row.runs if records[one].episode_scores] for row in rows]
    pairs = list(islice(_pairs(rows, own), MOST_PAIRS))
    return {pair: PairData.of(found) for pair, found in paired_at(own, pairs, find).items() if found is not None}


def _pairs(rows: Sequence[Row], records: Sequence[Sequence[Record]]) -> Iterator[tuple[int, int]]:
    """Places of rows that are compared by their queries."""
    episodes = [{name for record in own for name in episode_names(record)} for own in records]
    scored = [place for place, row in enumerate(rows) if row.value is not None and row.templates <= 1]
    for one, other in combinations(scored, 2):
        row, rival = rows[one], rows[other]
        alike = (row.task, row.backbone, row.metric) == (rival.task, rival.backbone, rival.metric)
        if not alike or (row.shots != rival.shots and 0 not in (row.shots, rival.shots)):
            continue
        shared = len(episodes[one] & episodes[other])
        if shared and (shared < LEAST_EPISODES or records[one][0].spec.queries is None):
            yield one, other
