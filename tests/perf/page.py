"""How fluid large pages are in Chromium, for docs/performance.md: ``python -m tests.perf.page JSON PAGE [SIZES]``.

A size is a number of records, by default 10,000; of each there are two pages: one of many tasks, and one of a single
task, whose charts have all of its methods. Run it on a machine that does nothing else: these are times on a clock. The
JSON file has rows of github-action-benchmark, ``customSmallerIsBetter``.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from bench.api.reports import load
from tests.helpers.big_store import SEEDS, SHOTS, big_store
from tests.helpers.browser import BROWSER, FLAGS
from tests.helpers.docs import replace_section
from tests.helpers.scrolling import LONG, WATCH, acted, scroll
from tests.perf.commands import MANY_RECORDS, machine

DESK = {"width": 1440, "height": 900}
COLUMNS = (
    "page",
    "MB",
    "table seen after ms",
    "charts after ms",
    "frame, median ms",
    "99 of 100 frames ms",
    "longest frame ms",
    "long frames",
    "frames without a line",
    "lines at once",
    "a letter typed ms",
    "sorted ms",
)


def pages(folder: Path, n_records: int) -> Iterator[tuple[str, Path]]:
    """Pages of some number of records, with their names."""
    of_method = SEEDS * len(SHOTS)
    for what, methods in (("40 methods a task", 40), ("one task", n_records // of_method)):
        path = folder / f"{n_records}-{methods}.html"
        load(big_store(folder / path.stem, n_records, methods=methods).root).page(path)
        yield f"{n_records:,} records, {what}", path


def measured(page: Page, path: Path) -> dict[str, float]:
    """Columns of a page by name."""
    page.add_init_script(WATCH)
    page.goto(f"{path.as_uri()}#task=*")
    page.wait_for_selector("html[data-charts=ready]", timeout=120_000)
    seen = page.evaluate("seen")
    scrolled = scroll(page)
    values = (
        path.stat().st_size / 2**20,
        seen["table"],
        seen["charts"],
        scrolled.quantile(0.5),
        scrolled.quantile(0.99),
        max(scrolled.frames),
        sum(each > LONG for each in scrolled.frames),
        scrolled.blank,
        scrolled.lines,
        acted(page, "#search", "method1"),
        acted(page, "#results th[data-field=value] button"),
    )
    return dict(zip(COLUMNS[1:], values, strict=True))


def main(results: Path, target: Path, *sizes: int) -> None:
    """Measure pages, and write the rows to a JSON file and to a page of the documentation."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        where = f"{machine()}, Chromium {browser.version} without a GPU"
        lines = [f"Machine: {where}. One round.", "", f"| {' | '.join(COLUMNS)} |"]
        lines.append(f"|---|{'---:|' * (len(COLUMNS) - 1)}")
        for n_records in sizes or (MANY_RECORDS,):
            for what, path in pages(Path(folder), n_records):
                context = browser.new_context(viewport=DESK)
                found = measured(context.new_page(), path)
                context.close()
                lines.append(f"| {what} | {' | '.join(f'{value:,.0f}' for value in found.values())} |")
                print(lines[-1], file=sys.stderr, flush=True)
                rows += [
                    {"name": f"{what}: {name}", "unit": "ms", "value": round(value, 1), "extra": where}
                    for name, value in found.items()
                    if name.endswith(" ms")
                ]
    results.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    replace_section(target, "fluid", "\n".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
