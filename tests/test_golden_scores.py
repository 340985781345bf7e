"""Scores on small fixed inputs stay what they are, unless PROTOCOL is raised."""

import json

import pytest

from bench.toolkit.versions import PROTOCOL
from tests import golden_scores
from tests.golden_scores import RAISE, TOLERANCE, UPDATE, cases, difference, kept

CASES = cases()


def test_scores_are_kept_of_every_case_by_this_protocol():
    assert kept()["protocol"] == PROTOCOL, f"PROTOCOL was raised; regenerate by `{UPDATE}`"
    assert kept()["scores"].keys() == CASES.keys(), f"methods came or went; regenerate by `{UPDATE}`"


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("brief_costs")
def test_scores_stay_what_they_are(case):
    found = difference(CASES[case](), kept()["scores"][case])
    assert found <= TOLERANCE, f"the scores of {case} changed by {found:.1e} of their norm: {RAISE}"


@pytest.fixture
def few(tmp_path, monkeypatch):
    """Two cases with scores of their own, and a file for what is kept of them."""
    path = tmp_path / "kept.json"
    path.write_text(json.dumps({"protocol": PROTOCOL, "scores": {"a": [1.0, 2.0], "b": [3.0]}}))
    monkeypatch.setattr(golden_scores, "KEPT", path)
    kept.cache_clear()
    yield (
        path,
        lambda **scores: monkeypatch.setattr(
            golden_scores, "cases", lambda: {name: (lambda values=values: values) for name, values in scores.items()}
        ),
    )
    kept.cache_clear()


def test_other_scores_are_kept_by_another_protocol_only(few, monkeypatch):
    path, now = few
    now(a=[1.0, 2.0 + 1e-7], b=[3.1], c=[5.0])
    with pytest.raises(SystemExit, match=r"1 scores changed \(b .*raise PROTOCOL in .*, then regenerate by"):
        golden_scores.update(same_protocol=False)
    monkeypatch.setattr(golden_scores, "PROTOCOL", PROTOCOL + 1)
    assert golden_scores.update(same_protocol=False) == "3 kept, 1 changed, 1 new"
    assert json.loads(path.read_text()) == {
        "protocol": PROTOCOL + 1, "scores": {"a": [1.0, 2.0], "b": [3.1], "c": [5.0]},
    }  # fmt: skip


def test_a_plugin_s_own_change_needs_no_other_protocol(few):
    path, now = few
    now(a=[1.0, 2.0], b=[3.1])
    assert golden_scores.update(same_protocol=True) == "2 kept, 1 changed, 0 new"
    assert json.loads(path.read_text())["protocol"] == PROTOCOL


@pytest.mark.parametrize(("ours", "far"), [([1.0, 2.0], 0.0), ([1.0, 2.1], 0.1 / 5**0.5), ([1.0], float("inf"))])
def test_a_difference_is_relative_to_the_norm(ours, far):
    assert difference(ours, [1.0, 2.0]) == pytest.approx(far)
