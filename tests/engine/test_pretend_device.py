"""Methods and backbones on a pretend accelerator: scores of the CPU, and bounded copies and waits.

The device is pretended in a process of its own, which it would never leave; see tests/helpers/pretend_program.py.
"""

import json
import os

import pytest

from bench.contracts import InputMode, Kind
from tests.helpers import preloaded
from tests.helpers.adaptation import own_methods

pytestmark = pytest.mark.slow
CLOSE = 1e-5
"""Largest difference, as a share of the largest score: sums in another order."""
STEPS = 2
"""Steps between the two runs that ``bytes_of_steps`` and ``waits_of_steps`` compare."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    done = preloaded.run("tests.helpers.pretend_program", env=os.environ | {"BENCH_CACHE": cache})
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_every_method_and_backbone_answers_as_on_the_cpu(rows):
    assert [row["case"] + row["error"] for row in rows if "error" in row] == []
    assert [row for row in rows if row["difference"] > CLOSE or not row.get("same_texts", True)] == []
    assert {row["case"].split()[0] for row in rows} == own_methods().keys() | {"encode"}


def test_a_support_set_is_moved_once_and_not_at_each_step(rows):
    trained = [row for row in rows if row.get("trained") and row["reads"] == InputMode.FEATURES]
    assert len(trained) >= 4
    # Its random directions come from the CPU, so that every device has the same, whatever the number of examples.
    drawn = {row["bytes_of_steps"] for row in trained if row["case"].startswith("spsa_probe")}
    assert len(drawn) == 1
    assert [row for row in trained if row["bytes_of_steps"] not in {0, *drawn}] == []
    assert {row["case"].split()[0] for row in trained if row["bytes_of_steps"]} == {"spsa_probe"}


def test_waits_do_not_grow_with_the_examples_of_a_step(rows):
    trained = [row for row in rows if row.get("trained")]
    # mezo takes two losses a step.
    most = {True: 12 * STEPS, False: 6 * STEPS}
    assert [row for row in trained if row["waits_of_steps"] > most[row["case"].startswith("mezo ")]] == []


def test_waits_do_not_grow_with_the_queries(rows):
    # Beam search waits in transformers at each token that it writes; what else there is depends on padding.
    # in_place_ttt reads each query as a text of its own, and copies its scores when it is done.
    most = {True: 4.0, False: 0.5}
    slow = {row["case"]: Kind.TEXT_GENERATION in row["case"] or row["case"].startswith("in_place_ttt") for row in rows}
    assert [row for row in rows if row.get("waits_per_query", 0) > most[slow[row["case"]]]] == []


def test_without_float64_closed_forms_are_computed_on_the_cpu_and_the_record_says_so(rows):
    without = [row for row in rows if "without float64" in row["case"]]
    assert [row for row in without if row["reads"] == InputMode.FEATURES and not row["notes"]] == []
    names = ("faast@hidden_states", "hebbian@hidden_states", "icv", "knn_prompting")
    inside = [row for row in without if row["case"].startswith(names)]
    assert {row["case"].split()[0] for row in inside} == set(names)
    assert all(row["notes"] == ["on the CPU, as pretend has no float64"] for row in inside)
