"""Figures of published pages are drawn by one command from marked places."""

import runpy
import shutil
import sys

import pytest

from bench.results.store import Store
from tests.helpers.places import ROOT
from tests.helpers.records import costing, made

SCRIPT = ROOT / "docs" / "results" / "figures.py"
MADE = runpy.run_path(str(SCRIPT), run_name="figures")


def recorded():
    """Two methods at two numbers of shots, one without examples."""
    return [
        *(made({"task": "digits", "method": method, "config": {}, "shots": shots}, episode_scores=[score, score + 2.0],
               costs=costing(seconds))
          for method, seconds in (("faast", 0.002), ("linear_probe", 0.2))
          for shots, score in ((1, 30.0), (5, 60.0))),
        made({"task": "digits", "method": "zero_shot", "config": {}, "shots": 0}, episode_scores=[10.0, 12.0]),
    ]  # fmt: skip


def rows():
    from bench.reports.rows import rows

    return rows(recorded())


def test_scores_are_over_seconds_at_one_number_of_shots_and_over_shots():
    parse = MADE["Figure"].parse
    over_seconds = parse("suite=small task=digits x=adapt_seconds shots=5")
    drawn = over_seconds.drawn(rows())
    assert {trace.name: (trace.x[0], trace.y[0]) for trace in drawn.data} == {
        "faast": (0.002, 61.0), "linear_probe": (0.2, 61.0), "zero_shot": (pytest.approx(1 / 3), 11.0)
    }  # fmt: skip
    assert over_seconds.name == "small-digits-adapt-seconds-5.svg"
    over_shots = parse("suite=a/small.yaml task=digits x=shots").drawn(rows())
    assert {trace.name: (list(trace.x), list(trace.y)) for trace in over_shots.data} == {
        "faast": (["1", "5"], [31.0, 61.0]),
        "linear_probe": (["1", "5"], [31.0, 61.0]),
        "zero_shot": (["1", "5"], [11.0, 11.0]),
    }
    with pytest.raises(ValueError, match="the suite small has no score on lexicon to draw; run it first"):
        parse("suite=small task=lexicon x=shots").drawn(rows())
    with pytest.raises(ValueError, match="a figure is marked by suite, task and x=shots, or x=adapt_seconds and shots"):
        parse("suite=small task=digits x=adapt_seconds")


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, MADE["BROWSERS"])), reason="no browser on the path")
def test_marked_places_get_an_image_that_is_the_same_each_time(tmp_path, monkeypatch):
    (tmp_path / "docs" / "results").mkdir(parents=True)
    page = tmp_path / "docs" / "results" / "page.md"
    for suite in ("small", "again"):
        store = Store(tmp_path / "results" / suite)
        for record in recorded():
            store.write(record)
    marked = "<!-- figure: suite={} task=digits x=shots -->\n{}<!-- figure: end -->\n"
    others = "<!-- figure: suite=other task=t x=shots -->\n<!-- figure: end -->\n"
    # The second one is drawn anew.
    page.write_text(f"Before.\n\n{marked.format('small', '')}\n{marked.format('again', 'Earlier.')}\n{others}")
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--root", str(tmp_path)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    names = [f"{suite}-digits-shots.svg" for suite in ("small", "again")]
    first, second = [(tmp_path / "docs" / "images" / name).read_text() for name in names]
    assert first == second
    assert first.startswith("<svg ")
    assert "linear_probe" in first
    figures = [f"\n![Scores on digits by shots per class](../images/{name})\n\n" for name in names]
    drawn = "\n".join(map(marked.format, ("small", "again"), figures))
    assert page.read_text() == f"Before.\n\n{drawn}\n{others}"
