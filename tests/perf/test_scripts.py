"""The scripts of ``make perf`` write a table and rows that a history reads; what they time takes no time here."""

import math

import pytest

from bench.reports.history.timings import read_timings
from tests.perf import commands, suites

PAGE = (
    "Before.\n<!-- commands: begin -->\n<!-- commands: end -->\n<!-- suites: begin -->\n<!-- suites: end -->\nAfter.\n"
)


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_the_quickstart_on_the_clock_is_a_row_of_a_history(tmp_path, page, monkeypatch):
    monkeypatch.setattr(suites, "conversion", lambda folder: 5.0)
    monkeypatch.setattr(suites, "wall_clock", lambda words, cache: (14.0, 149.5))
    suites.main(tmp_path / "suites.json", page, tmp_path / "kept")
    assert "| `bench run quickstart`, nothing cached, to the first score | 14.0 | 15 |" in page.read_text()
    assert page.read_text().endswith("<!-- suites: end -->\nAfter.\n")
    found = {timing.name: timing.value for timing in read_timings(tmp_path / "suites.json")}
    assert found["`bench run quickstart`, nothing cached"] == 149.5
    assert len(found) == 2 + len(suites.SUITES)


def test_commands_are_rows_of_a_history(tmp_path, page, monkeypatch):
    given = commands.Command("a command", ["list", "methods"], 0.5)
    monkeypatch.setattr(commands, "commands", lambda folder: iter([given]))
    monkeypatch.setattr(commands, "usage", lambda command: commands.Usage(0.25, 0.5, 100.0))
    commands.main(tmp_path / "commands.json", page)
    assert "| a command | 0.25 | 0.5 |" in page.read_text()
    assert [(one.name, one.value) for one in read_timings(tmp_path / "commands.json")] == [("a command", 0.25)]


def test_the_first_finished_run_is_found_among_the_lines():
    clock = iter([3.0, 4.0]).__next__
    lines = ["preparing: loading libraries\n", "[1/6] digits zero_shot\n", "[2/6] digits faast\n"]
    assert suites.first_finished(lines, clock) == (3.0, lines)
    assert math.isnan(suites.first_finished(lines[:1], clock)[0])
