"""The rows of ``make peers`` are complete, and a goal that is missed is printed with its reason."""

import math

import pytest
import torch

from tests.peers.measure import measured
from tests.peers.report import section
from tests.peers.row import Check, NotRunError, Place, Ready, Row, Timed
from tests.peers.rows import ROWS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_complete(row):
    assert row.peer
    assert row.work
    assert math.isfinite(row.goal)
    assert row.goal > 0
    assert row.reason.endswith(".")
    assert row.checks
    assert all(row.checks)


def test_rows_have_names_of_their_own():
    assert len({row.name for row in ROWS}) == len(ROWS)


def row(peer_seconds=3.0, agrees=True, error=None):
    def make(place):
        if error:
            raise error
        checks = [Check("accuracy", agrees, "accuracy 1 and 1" if agrees else "accuracy 1 and 0")]
        return Ready(lambda: Timed(2.0, 1), lambda: Timed(peer_seconds, 1), lambda ours, peer: checks, rounds=2)

    return Row("r", "another program 1.0", "some work", 2.0, "The reason why.", ("accuracy",), make)


def text(found):
    return section({"machine": "here", "rows": [found]})


def test_a_missed_goal_is_printed_with_its_reason(tmp_path):
    found = measured(row(), Place(None, tmp_path))
    assert (found["status"], found["value"]) == ("ok", 1.5)
    assert "| 2 s | 3 s | 1.50x | 2x | accuracy 1 and 1 |" in text(found)
    assert "- Below the goal, 1.50x of 2x: some work. The reason why." in text(found)


def test_a_goal_that_is_reached_needs_no_reason(tmp_path):
    assert "The reason" not in text(measured(row(peer_seconds=4.0), Place(None, tmp_path)))


@pytest.mark.slow
def test_results_that_differ_are_marked(tmp_path):
    found = measured(row(agrees=False), Place(None, tmp_path))
    assert found["status"] == "disagrees"
    assert "**differs**: accuracy 1 and 0" in text(found)


def test_a_row_that_cannot_be_run_says_why(tmp_path):
    assert "not run: set FAAST_REPO" in text(measured(row(error=NotRunError("set FAAST_REPO")), Place(None, tmp_path)))


def test_a_failure_is_a_line_of_the_table(tmp_path):
    assert "failed: KeyError: 'acc'" in text(measured(row(error=KeyError("acc")), Place(None, tmp_path)))


def test_bfloat16_is_compared_on_a_cpu_that_has_it(tmp_path, monkeypatch):
    in_bf16 = next(each for each in ROWS if each.name == "sst2_bf16")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, "avx512_bf16": False})
    found = measured(in_bf16, Place(None, tmp_path, quick=True))
    assert (found["status"], found["row"]) == ("not run", "sst2_bf16")
    assert found["why"].startswith("this CPU has no bfloat16 of its own (avx512_bf16, amx_bf16, bf16)")


def test_the_published_program_needs_its_checkout(tmp_path, monkeypatch):
    published = next(each for each in ROWS if each.name == "published_faast")
    monkeypatch.delenv("FAAST_REPO", raising=False)
    assert "set FAAST_REPO" in measured(published, Place(None, tmp_path))["why"]
    monkeypatch.setenv("FAAST_REPO", str(tmp_path))
    assert "needs vision.model.MemoryClassifier" in measured(published, Place(None, tmp_path, quick=True))["why"]
