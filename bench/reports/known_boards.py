"""Standings of a store's boards, kept in its index by what they derive from."""

import hashlib
import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from bench import registry
from bench.plugin import OWN
from bench.results.index import Index, code_stamp, is_settled, stamps
from bench.results.record import Record
from bench.results.row_sample import draw_key
from bench.results.store_files import OLD_PREDICTIONS, PREDICTIONS, PREDICTIONS_FILE
from bench.toolkit.code_hash import code_hash
from bench.toolkit.versions import library_versions


class KnownBoards:
    """Boards in the index of a store."""

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
        files = {self._files.get(record.predictions.name) for record in records if record.predictions is not None}
        if all(is_settled(each) for each in files if each is not None):
            rows = {name: (given, json.dumps(standings).encode()) for name, (given, standings) in made.items()}
            self._index.keep("boards", rows)


@cache
def _metric_stamp(name: str) -> str:
    """What the tests of a metric derive from besides this program: its code, and the libraries that compute."""
    plugin = registry.get("metrics", name)
    code = code_stamp() if plugin.origin == OWN else code_hash(plugin.module)
    return repr((name, code, registry.make_metric(name).version, library_versions(("numpy", "scipy"))))
