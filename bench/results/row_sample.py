"""Scores and predictions of a row's records, in the form that comparisons need; each is read once for all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import registry
from bench.contracts.metric import Metric
from bench.results.identity import protocol_of
from bench.results.predictions import Integers, QueryPredictions
from bench.results.record import Record
from bench.results.scores import clusters
from bench.stats.intervals import Floats

Find = Callable[[Record], QueryPredictions | None]
"""Looks up the predictions of a record; ``Store.predictions`` is one."""
Episode = tuple[Any, ...]


def no_predictions(record: Record) -> None:
    """For records without a store.

    Args:
        record: A record.

    Returns:
        None, for no predictions.
    """


def remembered(find: Find) -> Find:
    """A function that looks up the predictions of each record once, for reports that need them several times.

    Args:
        find: Looks them up.

    Returns:
        The function; it keeps what it found.
    """
    kept: dict[str, QueryPredictions | None] = {}

    def look_up(record: Record) -> QueryPredictions | None:
        if record.id not in kept:
            kept[record.id] = find(record)
        return kept[record.id]

    return look_up


def draw_key(record: Record) -> Episode:
    """What a record's episodes were drawn from. The seed is missing: ``episode_names`` adds it."""
    spec = record.spec
    data: Episode = (record.identity.get("data"), record.identity.get("template"))
    if spec.limit is not None:  # a quick look is compared with others of its kind alone
        data = (*data, spec.limit)
    return spec.task, data, spec.ways, spec.queries, protocol_of(record.identity)


def episode_names(record: Record) -> list[Episode]:
    """What names each episode of a record: its draw, its seed and its number."""
    draw = (*draw_key(record), record.spec.seed)
    return [(*draw, number) for number in range(len(record.episode_scores))]


@dataclass(frozen=True, eq=False)
class EpisodeSet:
    """Episodes that rows have in common: one object for all rows with the same ones, compared by identity.

    Attributes:
        names: What names each episode, its seed before its number at the end.
    """

    names: tuple[Episode, ...]

    @property
    def seeds(self) -> list[int]:
        """Seed of each episode."""
        return [name[-2] for name in self.names]


@dataclass(frozen=True, eq=False)
class Layout:
    """Queries of some episodes: one object for all rows with the same ones, compared by identity.

    Attributes:
        keys: ``[item]`` in order, a number for each query and episode.
        rows: Row of each item in a table of queries, ``[item]``.
        present: ``[query, episode]``, which queries each episode has.
    """

    keys: Integers
    rows: Integers
    present: NDArray[np.bool_]

    @classmethod
    def of(cls, keys: Integers, n_episodes: int) -> "Layout":
        """The layout of items.

        Args:
            keys: ``[item]`` in order: number of the query times the number of episodes, and number of the episode.
            n_episodes: Number of episodes.

        Returns:
            The layout.
        """
        queries, rows = np.unique(keys // n_episodes, return_inverse=True)
        present = np.zeros((len(queries), n_episodes), dtype=bool)
        present[rows, keys % n_episodes] = True
        return cls(keys, rows, present)

    def table(self, parts: Floats) -> Floats:
        """Parts of each query, ``[query, episode, part]`` of ``[item, part]``; 0 where one is not in an episode."""
        table = np.zeros((*self.present.shape, parts.shape[1]))
        table[self.rows, self.keys % self.present.shape[1]] = parts
        return table


@dataclass(frozen=True)
class RowSample:
    """Scores and predictions of a row.

    Attributes:
        records: The row's records, each of a seed.
        episodes: Its episodes.
        places: By name of an episode, the record that it is in and its number there.
        scores: ``[episode]``, in the order of the episodes.
        shares_draws: Whether episodes of a seed may share random numbers.
    """

    records: Sequence[Record]
    episodes: EpisodeSet
    places: dict[Episode, tuple[Record, int]]
    scores: Floats
    shares_draws: bool
    queries: "dict[EpisodeSet, tuple[Layout, Floats, Floats] | None]" = field(default_factory=dict)
    """Of episodes, the layout of their queries, their parts and the table of these, once they were read."""

    def scores_of(self, episodes: EpisodeSet) -> Floats:
        """Scores of some of its episodes, ``[episode]``."""
        if episodes is self.episodes:
            return self.scores
        chosen = (self.places[name] for name in episodes.names)
        return np.array([record.episode_scores[number] for record, number in chosen])


class Samples:
    """Samples of rows that are compared with each other."""

    def __init__(self, find: Find) -> None:
        """Start without any row.

        Args:
            find: Looks up the predictions of a record.
        """
        self._find = find
        self._episodes: dict[tuple[Episode, ...], EpisodeSet] = {}
        self._shared: dict[tuple[EpisodeSet, EpisodeSet], EpisodeSet] = {}
        self._metrics: dict[str, Metric] = {}
        self._layouts: dict[tuple[int, bytes], Layout] = {}
        self._parts: dict[str, tuple[QueryPredictions, Floats] | None] = {}

    def row(self, records: Sequence[Record]) -> RowSample:
        """The sample of a row.

        Args:
            records: Its records, each of a seed.

        Returns:
            The sample.
        """
        places = {name: (record, number) for record in records for number, name in enumerate(episode_names(record))}
        scores = np.array([record.episode_scores[number] for record, number in places.values()])
        return RowSample(records, self._set(tuple(places)), places, scores, clusters(records) is not None)

    def metric(self, row: RowSample) -> Metric:
        """The metric of a row's records."""
        name = row.records[0].metric
        if name not in self._metrics:
            self._metrics[name] = registry.make_metric(name)
        return self._metrics[name]

    def shared(self, own: RowSample, other: RowSample) -> EpisodeSet:
        """Episodes that two rows share."""
        pair = own.episodes, other.episodes
        if pair not in self._shared:
            self._shared[pair] = self._set(tuple(name for name in own.episodes.names if name in other.places))
        return self._shared[pair]

    def tables(
        self, own: RowSample, other: RowSample, episodes: EpisodeSet
    ) -> tuple[Floats, Floats, NDArray[np.bool_]] | None:
        """Parts of the queries that two rows share in some episodes.

        Args:
            own: A row.
            other: Another row.
            episodes: Episodes of both.

        Returns:
            ``[query, episode, part]`` of each, and ``[query, episode]``, which queries each episode has; None where
            predictions were not kept.
        """
        first, second = self.queries(own, episodes), self.queries(other, episodes)
        if first is None or second is None:
            return None
        (layout, own_parts, own_table), (other_layout, other_parts, other_table) = first, second
        if layout is other_layout:
            return own_table, other_table, layout.present
        keys, at_own, at_other = np.intersect1d(layout.keys, other_layout.keys, assume_unique=True, return_indices=True)
        common = Layout.of(keys, len(episodes.names))
        return common.table(own_parts[at_own]), common.table(other_parts[at_other]), common.present

    def _set(self, names: tuple[Episode, ...]) -> EpisodeSet:
        return self._episodes.setdefault(names, EpisodeSet(names))

    def queries(self, row: RowSample, episodes: EpisodeSet) -> tuple[Layout, Floats, Floats] | None:
        """Queries of a row in some of its episodes.

        Args:
            row: The row.
            episodes: The episodes.

        Returns:
            Their layout, their parts ``[item, part]`` and the table of these; None where predictions were not kept.
        """
        if episodes not in row.queries:
            row.queries[episodes] = self._read_queries(row, episodes)
        return row.queries[episodes]

    def _read_queries(self, row: RowSample, episodes: EpisodeSet) -> tuple[Layout, Floats, Floats] | None:
        keys, parts = [], []
        for place, name in enumerate(episodes.names):
            record, number = row.places[name]
            found = self._parts_of(record)
            if found is None:
                return None
            mine = found[0].episode == number
            keys.append(found[0].query[mine] * len(episodes.names) + place)
            parts.append(found[1][mine])
        joined = np.concatenate(keys)
        order = np.argsort(joined, kind="stable")
        in_order, ordered_parts = joined[order], np.concatenate(parts)[order]
        key = len(episodes.names), in_order.tobytes()
        if key not in self._layouts:
            self._layouts[key] = Layout.of(in_order, len(episodes.names))
        return self._layouts[key], ordered_parts, self._layouts[key].table(ordered_parts)

    def _parts_of(self, record: Record) -> tuple[QueryPredictions, Floats] | None:
        """Predictions of a record with their parts; a file is read and verified once."""
        if record.id not in self._parts:
            found = self._find(record)
            self._parts[record.id] = None if found is None else (found, found.parts)
        return self._parts[record.id]
