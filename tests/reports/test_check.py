"""The gate finds what was planted, and nothing in reruns of the same code."""

import pytest

from bench.contracts import UsageError
from bench.reports.check import checks
from bench.reports.check_baseline import both
from bench.reports.check_tolerance import CHECKED, Sample, tolerance
from bench.results.record import run_id
from tests.helpers.stores import SKILL, fill

RERUNS = 20


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("baseline"), run=0)


def found(baseline, now, verdict="regression", only=None):
    made = checks(list(baseline), list(now), both(baseline, now), only)
    return {(check.row, check.what): check.finding for check in made if check.verdict == verdict}


@pytest.mark.slow
def test_twenty_reruns_of_the_same_code_find_nothing(baseline, tmp_path):
    for run in range(1, RERUNS + 1):
        assert found(baseline, fill(tmp_path / str(run), run)) == {}


@pytest.mark.slow
def test_half_a_point_less_is_found_each_time(baseline, tmp_path):
    for run in range(1, 6):
        now = fill(tmp_path / str(run), run, worse=("probe", 0.005))
        regressions = found(baseline, now)
        assert set(regressions) == {("t probe 5 shots", "accuracy"), ("u probe 5 shots", "accuracy")}
        loss = float(regressions["t probe 5 shots", "accuracy"].split()[0])
        assert -1 < loss < -0.2
        assert "by Student's t on 60 episodes" in regressions["t probe 5 shots", "accuracy"]


@pytest.mark.slow
def test_a_fifth_more_time_is_found_each_time(baseline, tmp_path):
    for run in range(1, 6):
        now = fill(tmp_path / str(run), run, slower=("probe", 1.2))
        assert set(found(baseline, now)) == {("t probe 5 shots", "adapt"), ("u probe 5 shots", "adapt")}


def test_an_improvement_is_reported_and_is_no_regression(baseline, tmp_path):
    now = fill(tmp_path / "now", 1, slower=("probe", 0.5))
    assert found(baseline, now) == {}
    assert set(found(baseline, now, "better")) == {("t probe 5 shots", "adapt"), ("u probe 5 shots", "adapt")}


def test_runs_that_are_missing_or_fail_are_regressions(baseline, tmp_path):
    now = fill(tmp_path / "now", 1, without={("t", "closed", 1)}, failing={("u", "probe", 0), ("u", "probe", 2)})
    assert found(baseline, now) == {
        ("t closed 5 shots", "run"): "missing: seed 1; run them, or take them out of the baseline with --update",
        ("u probe 5 shots", "status"): "failed, seeds 0, 2: RuntimeError: planted <b>",
    }
    # One that failed before is not newly failing.
    assert found(now, now) == {}


def test_new_runs_are_reported(baseline, tmp_path):
    assert set(found(baseline, fill(tmp_path / "now", 1, tasks="tuv"), "new")) == {
        (f"v {method} 5 shots", "run") for method in ("closed", "probe", "memory")
    }


def test_a_baseline_of_another_suite_or_device_is_refused(baseline, tmp_path):
    for name, other in (("suite", {"tasks": "v"}), ("device", {"device": "cuda"})):
        now = fill(tmp_path / name, 1, **other)
        with pytest.raises(UsageError, match=r"no run in common .*: it has t, u on cpu, they have .*--update"):
            found(baseline, now)


def test_costs_of_another_model_of_device_are_not_compared(baseline, tmp_path):
    now = fill(tmp_path / "now", 1, slower=("probe", 3.0), model="EPYC")
    assert found(baseline, now) == {}
    noted = found(baseline, now, "new")
    assert set(noted) == {
        (f"{task} {method} 5 shots", "costs") for task in "tu" for method in ("closed", "probe", "memory")
    }
    assert noted["t probe 5 shots", "costs"].startswith("not comparable: devices differ")


def test_no_episodes_in_common_is_said(baseline, tmp_path):
    now = fill(tmp_path / "now", 1, seeds=(7, 8))
    with pytest.raises(
        UsageError, match="have no episodes in common: data, protocol, --seeds, --queries or --ways changed"
    ):
        found(baseline, now)


def test_rows_of_several_backbones_have_different_names(baseline):
    records = [*baseline]
    others = []
    for record in records:
        spec = record.spec.model_copy(update={"backbone": "c"})
        identity = {**record.identity, "backbone": "c"}
        others.append(record.model_copy(update={"spec": spec, "identity": identity, "id": run_id(identity)}))
    made = checks([*records, *others], [*records, *others], baseline.predictions, only="scores")
    rows = {check.row for check in made}
    assert rows == {f"{task} {method} 5 shots {name}" for task in "tu" for method in SKILL for name in "bc"}


@pytest.mark.slow
def test_scores_or_costs_alone_are_checked(baseline, tmp_path):
    now = fill(tmp_path / "now", 1, slower=("probe", 1.5), worse=("probe", 0.1))
    assert {what for _, what in found(baseline, now, only="scores")} == {"accuracy"}
    assert {what for _, what in found(baseline, now, only="costs")} == {"adapt"}
    missing = fill(tmp_path / "missing", 1, without={("t", "closed", 1)})
    assert {what for _, what in found(baseline, missing, only="scores")} == {"run"}


def test_a_tolerance_that_is_of_no_use_is_called_blind(baseline, monkeypatch):
    monkeypatch.setattr("bench.reports.check.usual_spread", lambda samples: 20.0)
    blind = found(baseline, baseline, "blind")
    assert {what for _, what in blind} == {"encode", "adapt", "query", "peak memory", "state"}
    assert set(blind.values()) == {
        "ratio 1.00; blind: the measurements spread too widely to tell 2 times the cost; measure more seeds, alone"
    }


ADAPT = next(axis for axis in CHECKED if axis.name == "adapt_seconds")


def allowed(before, after, usual, n_checks):
    return tolerance(ADAPT, before, after, usual, n_checks).ratio


def test_the_tolerance_grows_with_the_spread_and_the_number_of_checks():
    steady, wild = Sample(1.0, 0.01, 3), Sample(1.0, 0.2, 3)
    assert allowed(steady, steady, 0.0, 100) == 1.1  # clocks are trusted no further
    assert allowed(wild, wild, 0.0, 100) > 1.5
    assert allowed(wild, wild, 0.0, 1000) > allowed(wild, wild, 0.0, 10)
    assert allowed(steady, steady, 0.2, 100) == allowed(wild, wild, 0.0, 100)
    # How much another process would have taken is not known.
    assert allowed(steady, Sample(1.0, 0.01, 1), 0.0, 100) == 1.3
    assert allowed(Sample(0.001, 0.01, 3), steady, 0.0, 100) == 2.0  # a millisecond is nothing


def test_a_tolerance_says_where_it_comes_from():
    small, steady, wild = Sample(1e-6, 0.01, 3), Sample(1.0, 0.01, 3), Sample(1.0, 20.0, 3)
    assert tolerance(ADAPT, small, small, 0.0, 100).text == "up to 0.001 s more is no regression"
    assert tolerance(ADAPT, steady, steady, 0.0, 100).text == "up to 1.10 is no regression"
    assert [tolerance(ADAPT, one, one, 0.0, 100).is_blind for one in (small, steady, wild)] == [False, False, True]
