"""Costs are measured once for runs that differ in their seed alone, and again where they were measured in company."""

import pytest

from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.results.store import Store
from bench.runs import single_run
from bench.runs.runner import Runner, same_process
from tests.helpers.runs import Notebook, grid

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("outside", "cache")]


@pytest.fixture
def measured(monkeypatch):
    """Names of the methods that were measured, in order."""
    names = []
    measure = single_run.measure_costs

    def noted(worker, request):
        names.append(request.run.spec.method)
        return measure(worker, request)

    monkeypatch.setattr(single_run, "measure_costs", noted)
    return names


@pytest.fixture
def company(monkeypatch):
    """Sets whether every measurement counts as made in company, whatever else this machine does."""

    def always(yes):
        for name in ("OTHERS_SHARE", "STEAL_SHARE", "LEAST_SECONDS"):
            monkeypatch.setattr(f"bench.spec.conditions.{name}", -1.0 if yes else 1e9)

    return always


def run(folder, seeds, **options):
    quiet_lightning()
    devices = DeviceOptions(accelerator="cpu", batch_size=16)
    runner = Runner(Store(folder), devices, Notebook(), isolate=same_process, **options)
    report = runner.run(grid(methods=["faast", "knn"], shots=[1], seeds=seeds, episodes=2))
    assert {record.status for record in report.records} == {"ok"}
    return {(record.spec.method, record.spec.seed): record for record in report.records}


def test_seeds_share_one_measurement_and_say_so(tmp_path, measured, company):
    company(False)
    records = run(tmp_path, [0, 1, 2])
    assert measured == ["faast", "knn"]
    first, *others = (records["faast", seed] for seed in (0, 1, 2))
    assert first.costs.measured_for == ""
    assert {record.costs.measured_for for record in others} == {first.id}
    assert {record.costs.adapt for record in others} == {first.costs.adapt}
    assert len({tuple(record.episode_scores) for record in records.values()}) > 2  # scores are each seed's own
    # A later call takes them from the store, unless everything is run again.
    later = run(tmp_path, [3])["faast", 3]
    assert measured == ["faast", "knn"]
    assert later.costs.measured_for == first.id
    run(tmp_path, [3], force=True)
    assert measured == ["faast", "knn"] * 2


def test_costs_measured_in_company_are_not_taken_from_the_store(tmp_path, measured, company):
    company(True)
    first = run(tmp_path, [0])["faast", 0]
    assert first.costs.company
    later = run(tmp_path, [1])["faast", 1]
    assert later.costs.measured_for == ""
    assert measured == ["faast", "knn"] * 2


def test_remeasuring_replaces_costs_and_keeps_scores(tmp_path, measured, company):
    company(True)
    before = run(tmp_path, [0, 1])
    again = run(tmp_path, [0, 1], remeasure=True)
    assert measured == ["faast", "knn"] * 2
    for key, record in again.items():
        assert record.costs.conditions != before[key].costs.conditions
        assert record.provenance["remeasured"]
        assert record.model_copy(update={"costs": None, "provenance": {}}) == before[key].model_copy(
            update={"costs": None, "provenance": {}}
        )
        assert len(Store(tmp_path).predictions(record)) == record.n_queries
    company(False)
    run(tmp_path, [0, 1], remeasure=True)
    assert measured == ["faast", "knn"] * 2  # nothing was in company


def test_a_measurement_that_fails_keeps_the_record(tmp_path, company, monkeypatch):
    company(True)
    before = run(tmp_path, [0])

    def broken(*_):
        raise RuntimeError("planted")

    monkeypatch.setattr(single_run, "measure_costs", broken)
    assert run(tmp_path, [0], remeasure=True) == before
    assert Store(tmp_path).finished(before["faast", 0].id) == before["faast", 0]


def test_limits_that_only_end_a_method_without_steps_share_one_measurement(tmp_path, measured, company):
    company(False)
    quiet_lightning()
    runner = Runner(Store(tmp_path), DeviceOptions(accelerator="cpu", batch_size=16), Notebook(), isolate=same_process)
    block = {"methods": ["faast", "linear_probe"], "shots": [1], "seeds": [0], "episodes": 2}
    seconds = grid(**block, budget_grid={"adapt_seconds": [1e-9, 60]})
    state = grid(**block | {"methods": ["faast"]}, budget={"state_mb": 1})
    records = runner.run([*seconds, *state]).records
    assert sorted(measured) == ["faast", "faast", "linear_probe", "linear_probe"]
    found = {(record.spec.method, *record.limits.items()): record for record in records}
    ended, kept, held = (
        found["faast", limit] for limit in (("adapt_seconds", 1e-9), ("adapt_seconds", 60), ("state_mb", 1))
    )
    assert (ended.status, kept.status, held.status) == ("over_budget", "ok", "ok")
    assert ended.violations == {"adapt_seconds": ended.costs.adapt.seconds}
    assert kept.costs.adapt == ended.costs.adapt
    assert {ended.costs.measured_for, kept.costs.measured_for} in ({"", ended.id}, {"", kept.id})
    assert held.costs.measured_for == ""  # what a limit of state keeps may be another state
