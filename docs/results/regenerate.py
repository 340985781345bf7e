"""Tables of README.md and docs/results, made anew from the committed suites and claims: ``make results``.

A page marks the place of a table by ``<!-- table: suite=NAME task=A,B shots=5 -->`` and ``<!-- table: end -->``; task
and shots are optional, and ``of=sequences`` has what sequences of tasks report in place of rows of a leaderboard. Each
suite is run once, into ``results/NAME``, where finished runs are not run again.
The place of verdicts on claims is marked by ``<!-- claims: name=NAME -->`` and ``<!-- claims: end -->``.
"""

import argparse
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import bench

ROOT = Path(__file__).parents[2]
MARKED = re.compile(r"(<!-- table: (?P<fields>suite=[^>]*?) -->\n)(?P<table>.*?)(<!-- table: end -->)", re.DOTALL)
CLAIMS = re.compile(r"(<!-- claims: name=(?P<name>\S+) -->\n)(?P<table>.*?)(<!-- claims: end -->)", re.DOTALL)


@dataclass(frozen=True)
class Table:
    """Place of a table in a page.

    Attributes:
        suite: Name of the suite.
        tasks: Tasks that it shows; all where there are none.
        shots: Numbers of shots that it shows; all where there are none.
        of: "rows" of a leaderboard, or "sequences": forgetting, plasticity and sample efficiency.
    """

    suite: str
    tasks: tuple[str, ...]
    shots: tuple[str, ...]
    of: str = "rows"

    @classmethod
    def parse(cls, fields: str) -> "Table":
        """Read the fields of a mark, such as ``suite=vision task=cifar10``.

        Args:
            fields: The fields.

        Returns:
            The place.

        Raises:
            ValueError: For a field of another name, or a table of something else.
        """
        given = dict(field.split("=", 1) for field in fields.split())
        lists = {name: tuple(given.pop(name, "").split(",")) if name in given else () for name in ("task", "shots")}
        suite, of = given.pop("suite"), given.pop("of", "rows")
        if given or of not in {"rows", "sequences"}:
            got = ", ".join(given) or of
            raise ValueError(f"a table is marked by suite, task, shots and of=rows or of=sequences, got {got}")
        return cls(suite, lists["task"], lists["shots"], of)

    def text(self, results: bench.Results) -> str:
        """The table as Markdown, with the machine that it was measured on.

        Args:
            results: Results of the suite.

        Returns:
            Markdown, rows of methods without examples included.
        """
        shown = results.of_task(list(self.tasks)) if self.tasks else results
        if self.shots:
            wanted = {"0", *self.shots}
            shown = bench.Results([each for each in shown if str(each.spec.shots) in wanted], shown.store)
        table = shown.sequences("markdown") if self.of == "sequences" else shown.table("markdown")
        return f"\n{table}\n{machine(shown)}\n\n"


def machine(results: bench.Results) -> str:
    """One sentence on the hosts, versions and company of measurements.

    Args:
        results: The records.

    Returns:
        The sentence.
    """
    facts = [record.provenance for record in results.measured]
    conditions = [record.costs.conditions for record in results.measured if record.costs and record.costs.conditions]
    hosts = sorted({f"{each.cores} cores of {each.cpu}, {each.memory_mb / 1024:.0f} GiB" for each in conditions})
    made = sorted({f"bench {each['bench']}, torch {each['torch']}, Python {each['python']}" for each in facts})
    days = sorted({str(each["finished"])[:10] for each in facts})
    company = sum(bool(record.costs and record.costs.company) for record in results.measured)
    alone = "alone on it" if not company else f"{company} of {len(results.measured)} runs in company of other work"
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"Measured on {'; '.join(hosts)} ({platform.system()}), {alone}; {'; '.join(made)}; {when}."


def places(pages: list[Path]) -> Iterator[tuple[Path, Table]]:
    """All tables of some pages.

    Args:
        pages: Markdown files.

    Yields:
        Page and table.
    """
    for page in pages:
        for found in MARKED.finditer(page.read_text(encoding="utf-8")):
            yield page, Table.parse(found["fields"])


def write_claims(name: str, pages: list[Path], data: Path | None, store: Path) -> None:
    """Test claims and write a row for each into the places that are marked for them.

    Args:
        name: Name of the claims.
        pages: Markdown files.
        data: Folder of local data sets.
        store: Folder of records.
    """
    found = bench.claims(name, data=data, store=store)
    text = f"\n{found.summary()}\n{machine(found.results)}\n\n"
    for page in pages:
        before = page.read_text(encoding="utf-8")
        after = CLAIMS.sub(lambda mark: f"{mark[1]}{text}{mark[4]}" if mark["name"] == name else mark[0], before)
        if after != before:
            page.write_text(after, encoding="utf-8")


def main() -> None:
    """Run the suites that are named, by default all that pages show, and write their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", help="Suites and claims; by default all that pages show.")
    parser.add_argument("--data", type=Path, help="Folder of local data sets.")
    parser.add_argument("--root", type=Path, default=ROOT, help="Folder of README.md, docs/results and results.")
    options = parser.parse_args()
    pages = [options.root / "README.md", *sorted((options.root / "docs" / "results").glob("*.md"))]
    found = list(places(pages))
    claims = {mark["name"] for page in pages for mark in CLAIMS.finditer(page.read_text(encoding="utf-8"))}
    known = {table.suite for _, table in found} | claims
    if unknown := set(options.suites) - known:
        parser.error(f"no page shows {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
    for suite in sorted(options.suites or known):
        if suite in claims:
            write_claims(suite, pages, options.data, options.root / "results" / "claims")
            continue
        results = bench.run(
            suite=suite, data=options.data, store=options.root / "results" / Path(suite).stem, logger="none"
        )
        for page in {page for page, table in found if table.suite == suite}:
            text = page.read_text(encoding="utf-8")
            page.write_text(MARKED.sub(partial(_filled, suite, results), text), encoding="utf-8")


def _filled(suite: str, results: bench.Results, mark: re.Match[str]) -> str:
    """A marked place with its table, or as it is where it shows another suite."""
    table = Table.parse(mark["fields"])
    return f"{mark[1]}{table.text(results)}{mark[4]}" if table.suite == suite else mark[0]


if __name__ == "__main__":
    main()
