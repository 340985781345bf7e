"""Pages of the papers' tables, filled from records: published values beside ours, tables, figures; see ``paper.py``."""

import json
import os
import re
import runpy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml
from regenerate import MARKED, ROOT, Table, machine

import bench
from bench.reports.row import Row

NETWORKS = "fast_weights_rnn"
"""Name of the example in place of a suite."""
EXAMPLE = ROOT / "examples" / f"{NETWORKS}.py"
OTHERS = ("needle_small", "sequence_small", "sequence_inside", "fast_slow_small", "recall", "associative_retrieval")
"""Suites of other papers than FAAST's."""
LONG = ("needle_long",)
"""Suites that are run where they are named alone."""
WITH_DATA = ("paper_translation_small", "in_place_carry")
"""Small suites on data that are not embedded."""
SECONDS = Path("docs", "results", "paper_seconds.json")
"""File below the root: seconds that each suite took, over all of its calls."""
NOT_RUN = "Not run yet: `python docs/results/paper.py`."
PUBLISHED = re.compile(r"(<!-- published -->\n)(.*?)(<!-- published: end -->)", re.DOTALL)
EXAMPLES = re.compile(rf"(<!-- {NETWORKS} -->\n)(.*?)(<!-- {NETWORKS}: end -->)", re.DOTALL)
FIGURES = re.compile(r"(<!-- figure: (?P<name>[\w-]+\.svg) (?P<title>.*?) -->\n)(.*?)(<!-- figure: end -->)", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """A table of FAAST's paper.

    Attributes:
        suite: Suite that measures the same.
        small: Suite on embedded models and data.
        title: Title of the table.
        expected: Expected time of the suite on one GPU.
        needs: Weights that it needs.
        backbone: Backbone of the rows, unless a row has its own.
        rows: Published values: ``what``, ``task``, ``method``, ``shots``, ``published``; ``backbone`` if it is another.
    """

    suite: str
    small: str
    title: str
    expected: str
    needs: str
    backbone: str
    rows: tuple[Mapping[str, Any], ...] = field(default=())


@cache
def entries() -> list[Entry]:
    """The tables of paper.yaml, in order."""
    content = yaml.safe_load(Path(__file__).with_name("paper.yaml").read_text(encoding="utf-8"))
    return [Entry(**{**one, "rows": tuple(one.get("rows", ()))}) for one in content]


class Measured:
    """Records of suites below a folder.

    Attributes:
        root: Folder of docs and results.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._loaded: dict[str, bench.Results | None] = {}

    @property
    def networks(self) -> Path:
        """Results of the recurrent networks."""
        return self.root / "results" / f"{NETWORKS}.json"

    def store(self, suite: str) -> Path:
        """Folder of a suite's records."""
        return self.root / "results" / suite

    def of(self, suite: str) -> bench.Results | None:
        """Records of a suite; None where it was not run."""
        if suite not in self._loaded:
            store = self.store(suite)
            self._loaded[suite] = bench.load(store) if any(store.glob("*.json")) else None
        return self._loaded[suite]

    def seconds(self) -> dict[str, float]:
        """Seconds that suites took, by name."""
        path = self.root / SECONDS
        found: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return found

    def add_seconds(self, suite: str, passed: float) -> None:
        """Add to the seconds that a suite took; its records are read anew."""
        self._loaded.pop(suite, None)
        total = self.seconds()
        total[suite] = round(total.get(suite, 0.0) + passed, 1)
        path = self.root / SECONDS
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(total, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def published(results: Measured) -> str:
    """The tables of published values beside ours, with the suite of each and its time.

    Args:
        results: Records of suites.

    Returns:
        Markdown.
    """
    return "\n".join(line for entry in entries() for line in _section(entry, results)) + "\n"


def _section(entry: Entry, results: Measured) -> Iterator[str]:
    ours, seconds = results.of(entry.suite), results.seconds().get(entry.suite)
    expected = f"not run here, expected to take {entry.expected} on one GPU with 80 GB"
    took = f"took {_duration(seconds)}" if seconds else expected
    yield from ("", f"### {entry.title}", "")
    small = results.seconds().get(entry.small)
    small_time = f", which took {_duration(small)}" if small else ""
    yield f"`bench run {entry.suite}`: {entry.needs}; {took}. In small: `bench run {entry.small}`{small_time}."
    if ours is not None:
        yield from ("", machine(ours))
    if entry.rows:
        rows = [] if ours is None else ours.rows()
        yield from ("", "| | published | ours |", "|---|---|---|")
        yield from (f"| {one['what']} | {one['published']} | {_ours(one, entry, rows)} |" for one in entry.rows)
    else:
        yield from ("", "No published numbers of it were at hand.")


def _ours(one: Mapping[str, Any], entry: Entry, rows: Sequence[Row]) -> str:
    """The score of the row that a published value is of, with its interval."""
    wanted = (one["task"], one.get("backbone", entry.backbone), one["method"], str(one["shots"]))
    for row in rows:
        if (row.task, row.backbone, row.method, str(row.shots)) == wanted and row.value is not None:
            ends = "" if row.ci_low is None or row.ci_high is None else f" [{row.ci_low:.2f}, {row.ci_high:.2f}]"
            return f"{row.value:.2f}{ends}"
    return "not run"


def _duration(seconds: float) -> str:
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def write_pages(results: Measured) -> list[Path]:
    """Fill the marked places of docs/paper.md and docs/results from the records that there are.

    Args:
        results: Records of suites.

    Returns:
        The pages that changed.
    """
    changed = []
    for page in [results.root / "docs" / "paper.md", *sorted((results.root / "docs" / "results").glob("*.md"))]:
        old = page.read_text(encoding="utf-8")
        text = PUBLISHED.sub(lambda mark: f"{mark[1]}{published(results)}\n{mark[3]}", old)
        text = MARKED.sub(partial(_filled, results), text)
        if results.networks.exists():
            text = EXAMPLES.sub(lambda mark: f"{mark[1]}\n{table_of_networks(results)}\n{mark[3]}", text)
        text = FIGURES.sub(partial(_figure, results, page), text)
        if text != old:
            page.write_text(text, encoding="utf-8")
            changed.append(page)
    return changed


def table_of_networks(results: Measured) -> str:
    """Errors of the recurrent networks as Markdown, as far as they were trained."""
    kept = json.loads(results.networks.read_text(encoding="utf-8"))
    table: str = runpy.run_path(str(EXAMPLE))["results_table"](kept)
    return table


def _figure(results: Measured, page: Path, mark: re.Match[str]) -> str:
    """A marked place with the figure of docs/images, once there is one."""
    image = results.root / "docs" / "images" / mark["name"]
    shown = f"![{mark['title']}]({os.path.relpath(image, page.parent)})" if image.exists() else NOT_RUN
    return f"{mark[1]}\n{shown}\n\n{mark[5]}"


def _filled(results: Measured, mark: re.Match[str]) -> str:
    """A marked table of one of this script's suites, or as it is where its tasks were not run, or not yet."""
    table = Table.parse(mark["fields"])
    mine = {*(name for entry in entries() for name in (entry.suite, entry.small)), *OTHERS, *LONG, *WITH_DATA}
    found = results.of(table.suite) if table.suite in mine else None
    if found is None or not set(table.tasks) <= {record.spec.task for record in found.records}:
        return mark[0]
    return f"{mark[1]}{table.text(found)}{mark[4]}"
