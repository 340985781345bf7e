"""Verdicts on claims, judged on made-up records, in every form."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from bench.costs.in_turn import Ratio
from bench.reports.claim_cells import FoundRecords, pairs_to_measure, planned_cells
from bench.reports.claim_tables import FORMATS, as_junit, section, summary_markdown
from bench.reports.claims import judged
from bench.results.ratio_files import MeasuredRatios
from bench.results.record import Record, run_id
from bench.spec.claim import Claim
from bench.spec.conditions import Conditions
from bench.toolkit.versions import PROTOCOL
from tests.helpers.records import COSTS
from tests.helpers.tables import compact

HARD = np.random.default_rng(0).uniform(40, 80, (10, 20))
"""Scores of an equally good method, ``[seed, episode]``."""
RUNS = {"task": "digits", "shots": [1, 5, 20], "seeds": "0-2", "episodes": 20, "queries": 10}
ALONE = Conditions(host="h", cpu="c", cores=2, threads=1, memory_mb=1, wall_seconds=1.0, cpu_seconds=1.0)


def claim(*conditions, holds_in="all", runs=RUNS, **test):
    sides = {"method": "faast", "against": ["knn"], **test}
    tests = [{**sides, "conditions": list(conditions), "runs": [runs]}]
    return Claim.model_validate({"name": "c", "statement": "A <b> | c", "holds_in": holds_in, "tests": tests})


def records(of, gaps=lambda spec: 0.0, **changes):
    """A record for each run of a claim; gaps: points by which FAAST is better."""
    made = {}
    for cell in planned_cells(of):
        for spec in (*cell.own, *cell.other):
            gap = gaps(spec) if spec.method == "faast" else 0.0
            noise = np.random.default_rng([len(spec.method), spec.shots, spec.seed]).normal(0, 0.5, 20)
            scores = (HARD[spec.seed] + gap + noise).tolist()
            identity = {**spec.model_dump(), "device": "cpu", "protocol": PROTOCOL, "data": "1"}
            fields = {
                "status": "ok", "value": float(np.mean(scores)), "episode_scores": scores, "n_queries": 2000,
                "shared_draws": False, "costs": COSTS,
            }  # fmt: skip
            made[run_id(identity)] = Record(id=run_id(identity), spec=spec, identity=identity, **fields | changes)
    return list(made.values())


def judge(of, found, ratios=lambda own, other: None):
    (report,) = judged([of], FoundRecords(found), lambda record: None, ratios)
    return report


def by_shots(shots):
    """FAAST is better at 1 shot, worse by 5 points at 5, and worse by about the margin at 20."""
    return {1: 2.0, 5: -5.0, 20: -1.0}[shots.shots]


def test_each_cell_has_a_verdict_and_the_whole_follows_from_them():
    not_worse = {"score": "not_worse", "margin": 1}
    of = claim(not_worse)
    report = judge(of, records(of, by_shots))
    assert [cell.verdict for cell in report.cells] == ["confirmed", "refuted", "undecided"]
    assert report.verdict == "refuted"
    assert (report.strongest.shots, report.weakest.shots) == (1, 5)
    assert [cell.needs == "" for cell in report.cells] == [True, True, False]
    assert "more seed" in report.cells[2].needs
    assert report.cells[0].low < report.cells[0].estimate < report.cells[0].high
    assert report.needs == ""
    open_ = judge(of, records(of, lambda spec: by_shots(spec) if spec.shots == 20 else 2.0))
    assert open_.verdict == "undecided"
    assert open_.needs == open_.cells[2].needs
    assert judge(of, records(of)).verdict == "confirmed"
    some = claim(not_worse, holds_in="some")
    assert judge(some, records(some, by_shots)).verdict == "confirmed"
    assert judge(some, records(some, lambda spec: -5.0)).verdict == "refuted"


def test_better_needs_more_than_not_worse():
    equal = claim({"score": "better"})
    assert judge(equal, records(equal)).verdict == "undecided"
    ahead = records(equal, lambda spec: 2.0)
    assert judge(equal, ahead).verdict == "confirmed"
    by_three = claim({"score": "better", "margin": 3})
    assert judge(by_three, ahead).verdict == "refuted"


def test_less_is_better_where_the_metric_says_so():
    of = claim({"score": "not_worse", "margin": 1})
    for gap, verdict in ((-5.0, "confirmed"), (5.0, "refuted")):
        report = judge(of, records(of, lambda spec, gap=gap: gap, metric="perplexity"))
        assert {cell.verdict for cell in report.cells} == {verdict}
        assert f"{gap:+.0f}." in report.cells[0].finding or f"{gap + 1:+.0f}." in report.cells[0].finding


def test_what_is_missing_or_has_no_score_leaves_a_cell_undecided_with_the_reason():
    of = claim({"score": "not_worse", "margin": 1})
    found = records(of)
    without = [record for record in found if (record.spec.method, record.spec.shots, record.spec.seed) != ("knn", 5, 1)]
    report = judge(of, without)
    assert [cell.verdict for cell in report.cells] == ["confirmed", "undecided", "confirmed"]
    assert report.verdict == "undecided"
    assert report.cells[1].needs == "knn at 5 shots, seed 1, was not run"
    assert report.cells[1].p_value is None
    over = [
        record.model_copy(update={"status": "over_budget", "reason": "too slow"})
        if record.spec.method == "faast" and record.spec.shots == 1
        else record
        for record in found
    ]
    assert judge(of, over).cells[0].needs == "faast at 1 shot, seed 0, was over budget: too slow"
    assert {cell.verdict for cell in judge(of, []).cells} == {"undecided"}


def of_code(record, code):
    identity = {**record.identity, "code": code}
    provenance = {"finished": f"2026-01-0{code}T00:00:00+00:00"}
    return record.model_copy(update={"identity": identity, "id": run_id(identity), "provenance": provenance})


def test_seeds_of_another_version_or_device_are_not_pooled():
    of = claim({"score": "not_worse", "margin": 1}, runs={**RUNS, "shots": [5]})
    old = [of_code(record, "1") for record in records(of)]
    new = [of_code(record, "2") for record in records(of) if record.spec.seed == 0]
    assert judge(of, old).verdict == "confirmed"
    cell = judge(of, [*old, *new]).cells[0]
    assert cell.verdict == "undecided"
    assert cell.needs == "faast at 5 shots, seed 1, was not run with the code, data and device of the other seeds"
    assert judge(of, [*old, *(of_code(record, "2") for record in records(of))]).verdict == "confirmed"
    # All seeds of a cell are of one kind of device, the one with more of them, and of equals the same for both methods.
    found = FoundRecords([on_device(record, kind) for record in old for kind in ("cuda", "cpu")])
    (cell,) = planned_cells(of)
    sides = [found.of(side)[0] for side in (cell.own, cell.other)]
    assert {record.identity["device"] for side in sides for record in side} == {"cpu"}
    more = FoundRecords([*(on_device(record, "cuda") for record in old), on_device(old[0], "cpu")])
    assert {record.identity["device"] for record in more.of(cell.own)[0]} == {"cuda"}


def on_device(record, kind):
    identity = {**record.identity, "device": kind}
    return record.model_copy(update={"identity": identity, "id": run_id(identity)})


def test_counted_costs_are_compared_as_they_are():
    of = claim({"cost": "state_mb", "at_most": 0.5}, holds_in="some")
    found = [
        record.model_copy(update={"costs": COSTS.model_copy(update={"state_mb": 4.0 / record.spec.shots})})
        if record.spec.method == "faast"
        else record.model_copy(update={"costs": COSTS.model_copy(update={"state_mb": 1.6})})
        for record in records(of)
    ]
    report = judge(of, found)
    assert [cell.verdict for cell in report.cells] == ["refuted", "confirmed", "confirmed"]  # 4, 0.8 and 0.2 MB
    assert [cell.estimate for cell in report.cells] == pytest.approx([2.5, 0.5, 0.125])
    assert report.verdict == "confirmed"
    assert "0.800 / 1.60 MB = 0.500" in report.cells[1].finding


def test_measured_costs_are_tested_as_ratios_and_marked_where_they_were_measured_in_company():
    of = claim({"cost": "adapt_seconds", "at_most": 0.1}, runs={**RUNS, "seeds": 0})
    found = FoundRecords(records(of))
    pairs = pairs_to_measure(planned_cells(of), found)
    assert [(shots, *axes) for shots, _, _, axes in pairs.values()] == [(n, "adapt_seconds") for n in (1, 5, 20)]
    busy = ALONE.model_copy(update={"others_cpu_seconds": 1.5})

    def ratios(own, other):
        assert (own.spec.method, other.spec.method) == ("faast", "knn")
        ratio = {1: 0.05, 5: 0.1, 20: 0.2}[own.spec.shots]
        measured = Ratio("adapt_seconds", "s", ratio, 1.0, ratio, ratio / 1.1, ratio * 1.1)
        return MeasuredRatios((measured,), 12, busy if own.spec.shots == 1 else ALONE)

    report = judge(of, records(of), ratios)
    assert [cell.verdict for cell in report.cells] == ["confirmed", "undecided", "refuted"]
    assert ["†" in cell.finding for cell in report.cells] == [True, False, False]
    assert report.reasons == ("other processes used 75% of 2 cores",)
    assert "at the limit" in report.cells[1].needs
    assert judge(of, records(of)).cells[0].needs == "costs were not measured in turn"


def test_a_method_is_compared_with_itself_at_another_number_of_shots():
    runs = {**RUNS, "shots": [20], "seeds": 0}
    of = claim({"cost": "query_milliseconds", "at_most": 1.1}, against=["faast"], against_shots=1, runs=runs)
    (cell,) = planned_cells(of)
    assert (cell.own[0].shots, cell.other[0].shots, cell.methods) == (20, 1, ("faast", "faast at 1 shot"))


def test_a_method_without_a_support_set_is_compared_at_every_number_of_shots():
    of = claim({"score": "better"}, against=["zero_shot"])
    assert [(cell.shots, cell.other[0].shots) for cell in planned_cells(of)] == [(1, 0), (5, 0), (20, 0)]
    of = claim({"score": "better"}, method="zero_shot", against=["faast"])
    assert [(cell.shots, cell.own[0].shots) for cell in planned_cells(of)] == [(1, 0), (5, 0), (20, 0)]


def test_spreads_are_those_over_seeds():
    of = claim({"spread": "seeds", "at_most": 3}, against=[], runs={**RUNS, "seeds": "0-9"})
    steady = [
        record.model_copy(update={"episode_scores": [70 + size * np.sin(record.spec.seed)]})
        for size, record in zip([1.0] * 10 + [3.0] * 10 + [30.0] * 10, records(of), strict=True)
    ]
    report = judge(of, steady)
    assert [cell.verdict for cell in report.cells] == ["confirmed", "undecided", "refuted"]
    assert "over 10 seeds" in report.cells[0].finding
    assert "more seed" in report.cells[1].needs


def test_every_form_says_what_is_for_and_what_is_against():
    of = claim({"score": "not_worse", "margin": 1})
    reports = [judge(of, records(of, by_shots))]
    for name in ("table", "markdown", "html"):
        text = " ".join(FORMATS[name](reports).split())
        assert "1 for, 1 against, 1 undecided" in text, name
        assert "refuted" in text
    (line,) = [line for line in compact(summary_markdown(reports)).splitlines() if line.startswith("| A ")]
    assert line.startswith("| A &lt;b&gt; &#124; c | refuted | 1 for, 1 against, 1 undecided | ")
    assert "digits, 1 shot, against knn (confirmed)" in line
    assert "digits, 5 shots, against knn (refuted)" in line
    assert "<b>" not in section(reports)
    (found,) = json.loads(FORMATS["json"](reports))
    assert found["counts"] == {"confirmed": 1, "refuted": 1, "undecided": 1}
    assert [cell["shots"] for cell in found["cells"]] == [1, 5, 20]


@pytest.mark.parametrize(("holds_in", "failures"), [("all", 2), ("some", 0)])
def test_junit_fails_for_what_is_refuted(holds_in, failures):
    of = claim({"score": "not_worse", "margin": 1}, holds_in=holds_in)
    root = ElementTree.fromstring(as_junit([judge(of, records(of, by_shots))]).encode())
    (suite,) = root
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", str(failures), "1")
    assert len(list(root.iter("failure"))) == failures
    assert suite[0].get("name") == "the whole claim"
