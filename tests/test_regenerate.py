"""Tables of published pages are made by one command from marked places."""

import runpy
import sys
from pathlib import Path

import pytest

import bench
from bench.runs.runner import same_process
from tests.helpers.records import made

SCRIPT = Path(__file__).parents[1] / "docs" / "results" / "regenerate.py"
SUITE = """name: small
blocks:
  - {task: stripes, backbone: pixels, methods: [zero_shot, knn], shots: [1, 5], episodes: 2}
"""


def regenerate(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, words)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


@pytest.mark.slow
@pytest.mark.usefixtures("outside", "cache")
def test_marked_places_are_filled_and_the_rest_stays(tmp_path, monkeypatch):
    suite = tmp_path / "small.yaml"
    suite.write_text(SUITE)
    (tmp_path / "docs" / "results").mkdir(parents=True)
    readme, page = tmp_path / "README.md", tmp_path / "docs" / "results" / "page.md"
    mark = f"<!-- table: suite={suite} shots=5 -->\nan old table\n<!-- table: end -->"
    readme.write_text(f"Before.\n\n{mark}\n\nAfter.\n")
    other = "<!-- table: suite=other -->\nkept\n<!-- table: end -->\n"
    page.write_text(other)
    monkeypatch.setattr("bench.runs.runner.fresh_processes", same_process)
    regenerate(monkeypatch, suite, "--root", tmp_path)
    text = readme.read_text()
    assert text.startswith("Before.\n\n<!-- table: suite=")
    assert text.endswith("<!-- table: end -->\n\nAfter.\n")
    assert "an old table" not in text
    rows = [line for line in text.splitlines() if line.startswith("| stripes")]
    assert ["zero_shot" in row for row in rows] == [True, False]
    assert "| 1 |" not in text
    assert "Measured on " in text
    assert page.read_text() == other


def test_a_suite_that_no_page_shows_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "README.md").write_text("<!-- table: suite=quickstart -->\n<!-- table: end -->\n")
    with pytest.raises(SystemExit):
        regenerate(monkeypatch, "no_such_suite", "--root", tmp_path)
    assert "no page shows no_such_suite; known are quickstart" in capsys.readouterr().err


def test_a_table_of_sequences_has_what_they_report():
    table = runpy.run_path(str(SCRIPT))["Table"]
    facts = {"bench": "1", "torch": "2", "python": "3", "finished": "2026-01-01"}

    class Found(bench.Results):
        def sequences(self, format="table"):
            return f"| forgetting | {format}\n"

    found = Found([made().model_copy(update={"provenance": facts})], "results")
    text = table.parse("suite=sequence_small of=sequences").text(found)
    assert text.startswith("\n| forgetting | markdown\n")
    assert "Measured on " in text
    with pytest.raises(ValueError, match="task, shots and of=rows or of=sequences, got curves"):
        table.parse("suite=sequence_small of=curves")


def test_marked_places_of_claims_get_a_row_for_each(tmp_path, monkeypatch):
    seen = []

    facts = {"bench": "1", "torch": "2", "python": "3", "finished": "2026-01-01"}

    class Found:
        results = bench.Results([made().model_copy(update={"provenance": facts})], "results")

        def summary(self):
            return "| a claim |\n"

    monkeypatch.setattr(bench, "claims", lambda name, **options: seen.append((name, options["store"])) or Found())
    mark = "<!-- claims: name={} -->\nan old table\n<!-- claims: end -->\n"
    (tmp_path / "README.md").write_text(mark.format("faast") + mark.format("others"))
    regenerate(monkeypatch, "faast", "--root", tmp_path)
    first, other = (tmp_path / "README.md").read_text().split("<!-- claims: name=others -->")
    assert "| a claim |" in first
    assert "Measured on " in first
    assert "an old table" not in first
    assert "an old table" in other
    assert seen == [("faast", tmp_path / "results" / "claims")]
