"""Scores, comparisons and standings of a store's rows, kept in its index by what they derive from."""

import hashlib
import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from bench import registry
from bench.plugin import OWN
from bench.results.grouping import data_of, run_key
from bench.results.index import Index, code_stamp, is_settled, stamps
from bench.results.record import Record
from bench.results.row_sample import Find, draw_key
from bench.results.scores import Score, row_score
from bench.results.shared_episodes import with_detectable
from bench.results.store_files import OLD_PREDICTIONS, PREDICTIONS, PREDICTIONS_FILE
from bench.stats.comparison import Paired
from bench.stats.intervals import Interval
from bench.toolkit.code_hash import code_hash
from bench.toolkit.versions import library_versions


class KnownBoards:
    """Boards and comparisons in the index of a store."""

    def __init__(self, root: Path) -> None:
        """Name the store; nothing is read.

        Args:
            root: Its folder.
        """
        self._root, self._index = root, Index(root)

    @cached_property
    def _files(self) -> dict[str, str]:
        """Stamps of all files of predictions."""
        old, present = (stamps(self._root / folder, PREDICTIONS_FILE) for folder in (OLD_PREDICTIONS, PREDICTIONS))
        return {**old, **present}

    def scores(self, groups: Sequence[Sequence[Record]]) -> list[Score | None]:
        """The scores of rows, those of tasks whose records are as they were without computing them.

        Args:
            groups: Records of each row.

        Returns:
            The scores by ``row_score``.
        """
        of_task: dict[str, list[int]] = {}
        for place, group in enumerate(groups):
            of_task.setdefault(f"scores of {group[0].spec.task!r}", []).append(place)
        given = {name: _scores_stamp([groups[place] for place in places]) for name, places in of_task.items()}
        known, new = self._index.find("boards", given), dict[str, tuple[str, bytes]]()
        found = list[Score | None]([None] * len(groups))
        for name, places in of_task.items():
            kept = json.loads(known[name]) if name in known else None
            made = [row_score(groups[place]) for place in places] if kept is None else [_score(each) for each in kept]
            for place, score in zip(places, made, strict=True):
                found[place] = score
            if kept is None:
                new[name] = given[name], json.dumps([score and asdict(score) for score in made]).encode()
        self._keep(new, [record for name in new for place in of_task[name] for record in groups[place]])
        return found

    def compared(
        self, pairs: Sequence[tuple[Sequence[Record], Sequence[Record]]], find: Find
    ) -> list[tuple[Paired, float | None] | None]:
        """Comparisons of pairs of rows, those with records and predictions as they were without a test.

        Args:
            pairs: Records of both rows of each pair.
            find: Looks up the predictions of a record.

        Returns:
            The comparisons by ``with_detectable``.
        """
        names = [repr(("pair", *((run_key(side[0]), data_of(side[0])) for side in pair))) for pair in pairs]
        given = [self.stamp(("", 0.0, side) for side in pair) for pair in pairs]
        known, new = self._index.find("boards", dict(zip(names, given, strict=True))), dict[str, tuple[str, bytes]]()
        found = []
        for name, stamp, pair in zip(names, given, pairs, strict=True):
            if name in known:
                found.append(_compared(json.loads(known[name])))
                continue
            made = with_detectable(*pair, find)
            found.append(made)
            new[name] = stamp, json.dumps(None if made is None else (asdict(made[0]), made[1])).encode()
        self._keep(new, [record for pair in pairs for side in pair for record in side])
        return found

    def stamp(self, rows: Iterable[tuple[str, float, Sequence[Record]]]) -> str:
        """What the standings of a board derive from: its rows with their records, and the code of tests and metric.

        Args:
            rows: Name, score and records of each row, in order.

        Returns:
            A hash.
        """
        found = hashlib.sha256(code_stamp().encode())
        for name, sort_score, records in rows:
            first = records[0]  # all records of a row are of one version, and drawn alike
            common = name, sort_score, _metric_stamp(first.metric), draw_key(first), first.spec.shots
            found.update(repr((common, [self._facts(record) for record in records])).encode())
            for record in records:  # as text, they would take most of the time
                found.update(array("d", record.episode_scores).tobytes())
        return found.hexdigest()

    def _facts(self, record: Record) -> tuple[Any, ...]:
        file = record.predictions
        return (
            record.id, record.spec.seed, record.shared_draws, len(record.episode_scores),
            None if file is None else (file.name, file.sha256, self._files.get(file.name)),
        )  # fmt: skip

    def find(self, boards: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
        """Standings that are known.

        Args:
            boards: Stamps by name.

        Returns:
            Fields of the standing of each row, in order, by name of the board.
        """
        return {name: json.loads(content) for name, content in self._index.find("boards", boards).items()}

    def keep(self, made: Mapping[str, tuple[str, list[dict[str, Any]]]], records: Sequence[Record]) -> None:
        """Keep standings.

        Args:
            made: Stamp, and fields of the standing of each row, by name of the board.
            records: All records of these boards; nothing is kept where predictions were written just now.
        """
        self._keep({name: (given, json.dumps(found).encode()) for name, (given, found) in made.items()}, records)

    def _keep(self, rows: Mapping[str, tuple[str, bytes]], records: Iterable[Record]) -> None:
        """Write rows, unless predictions of their records were written just now."""
        files = {self._files.get(record.predictions.name) for record in records if record.predictions is not None}
        if rows and all(is_settled(each) for each in files if each is not None):
            self._index.keep("boards", rows)


@cache
def _metric_stamp(name: str) -> str:
    """What the tests of a metric derive from besides this program: its code, and the libraries that compute."""
    plugin = registry.get("metrics", name)
    code = code_stamp() if plugin.origin == OWN else code_hash(plugin.module)
    return repr((name, code, registry.make_metric(name).version, library_versions(("numpy", "scipy"))))


def _scores_stamp(groups: Iterable[Sequence[Record]]) -> str:
    """What the scores of rows derive from: their records, and the code of scores and metrics."""
    found = hashlib.sha256(code_stamp().encode())
    for records in groups:
        first, scored = records[0], any(record.episode_scores for record in records)
        facts = [
            (each.spec.seed, each.shared_draws, each.n_queries, each.ci_low, each.ci_high, len(each.episode_scores))
            for each in records
        ]
        found.update(repr((_metric_stamp(first.metric) if scored else "", first.spec.queries, facts)).encode())
        for record in records:
            found.update(array("d", record.episode_scores).tobytes())
    return found.hexdigest()


def _score(kept: Any) -> Score | None:
    """A score from its fields as JSON."""
    return None if kept is None else Score(kept["value"], _interval(kept["interval"]))


def _compared(kept: Any) -> tuple[Paired, float | None] | None:
    """A comparison from its fields as JSON."""
    if kept is None:
        return None
    fields, detectable = kept
    return Paired(**{**fields, "interval": _interval(fields["interval"])}), detectable


def _interval(kept: Any) -> Interval | None:
    """An interval from its ends as JSON."""
    return None if kept is None else Interval(**kept)
