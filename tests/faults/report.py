"""Writes the table of campaigns of docs/reliability.md from the counts that ``make faults`` collected."""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from tests.helpers.docs import replace_section

TITLES = {
    "test_a_thousand_kills_lose_nothing": "Programs killed at random moments, with their measuring processes",
    "test_thousands_of_damaged_files_are_refused_in_one_line": "Damaged files of every kind",
    "test_ten_minutes_of_inputs_are_read_or_refused_in_one_line[YAML]": "Generated YAML",
    "test_ten_minutes_of_inputs_are_read_or_refused_in_one_line[values]": "Generated values, written and read as YAML",
    "test_ten_minutes_of_inputs_are_read_or_refused_in_one_line[options]": "Generated texts of options",
    "test_ten_minutes_of_inputs_are_read_or_refused_in_one_line[images]": "Generated images of all formats",
    "test_ten_minutes_of_inputs_are_read_or_refused_in_one_line[names]": "Generated names in reports",
    "test_disks_of_every_size_lose_nothing_and_say_so": "Disks that fill up, each at another write",
    "test_processes_that_share_many_stores_lose_nothing": "Four processes on one store, one killed, one stopped",
    "test_processes_that_share_many_studies_lose_nothing": "Four processes on one study, one killed, one stopped",
}
TRIED = (
    "kills", "kills of fresh interpreters", "kills before the first result", "kills between results",
    "kills after the last result", "kills within a write", "suites", "unfinished runs taken up", "damaged", "refused",
    "same", "accepted", "inputs", "minutes", "disks", "full", "rounds", "killed",
)  # fmt: skip
"""Counts of what was tried; all others count what must not be."""


def summed(lines: Iterable[str]) -> dict[str, Counter[str]]:
    """Counts of each campaign, over all its parts.

    Args:
        lines: A JSON object each, of one part.

    Returns:
        Counts, zeros included, by the name of the campaign.
    """
    found = defaultdict[str, Counter[str]](Counter)
    for part in map(json.loads, lines):
        found[part.pop("campaign")].update(part)
    return found


def table(campaigns: Mapping[str, Counter[str]]) -> str:
    """The table as Markdown."""
    lines = ["| campaign | tried | lost, wrong, tracebacks, hangs |", "|---|---|---|"]
    for name, count in campaigns.items():
        title = TITLES.get(name, name)
        tried = ", ".join(f"{count[name]:,} {name}" for name in TRIED if name in count)
        others = ((name, number) for name, number in count.items() if name not in TRIED)
        harm = ", ".join(f"{number} {name}" for name, number in others)
        lines.append(f"| {title} | {tried} | {harm or '0'} |")
    return "\n".join(lines)


def main(results: Path, page: Path) -> None:
    """Replace the table of ``page``."""
    counts = summed(results.read_text(encoding="utf-8").splitlines())
    replace_section(page, "campaigns", f"Made on {date.today()}.\n\n{table(counts)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
