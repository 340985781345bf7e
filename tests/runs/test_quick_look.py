"""Quick looks (``--limit``): records with an identity of their own, marked rows, no part in checks and claims."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import bench
from bench.contracts.errors import BenchWarning, UsageError
from bench.costs.repeats import LEAST
from bench.reports.claim_cells import FoundRecords
from bench.reports.overview import overview
from bench.results.record import Record
from bench.results.ties import contradictions
from tests.helpers import brief_costs as brief
from tests.helpers.command import without_progress

RUN = ["run", "--task", "stripes", "--backbone", "pixels", "--method", "knn,nearest_mean", "--shots", "2", "--logger",
       "none", "--accelerator", "cpu", "--measure-in", "inline"]  # fmt: skip
Bench = Callable[..., tuple[int, str, str]]


@pytest.fixture
def brief_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages are repeated, as those of a quick look are not."""
    brief.set_during(monkeypatch, "repeated")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: Path, cache: Path, in_process: Bench) -> Path:
    """A store with a quick look at two methods, and a whole run of each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_STORE", raising=False)
    code, out, err = in_process(*RUN, "--limit", "4")
    assert code == 0, err
    assert "stripes [limit=4]" in out
    assert "[limit=N]: a quick look at N queries" in out
    (note,) = without_progress(err)
    assert note.startswith("bench: a quick look at 4 queries of each run, one of each class at least: ")
    assert err.splitlines()[-1] == "next: the same command without --limit, for results that count"
    assert "a query" not in out  # no answer to which method is best
    code, out, err = in_process(*RUN)
    assert code == 0, err
    # Which of the two is best, how sure that is and what it costs, or why that is not known.
    answer = out.splitlines()[-1]
    assert "at 2 shots: " in answer
    assert "ms a query (features given)" in answer
    return tmp_path / "runs"


def of(store: Path) -> tuple[list[Record], list[Record]]:
    """Records of quick looks, and of whole runs."""
    records = bench.load(store).records
    quick, whole = ([one for one in records if (one.spec.limit is None) == full] for full in (False, True))
    return quick, whole


@pytest.mark.slow
def test_a_quick_look_is_never_mixed_with_whole_runs(store: Path, in_process: Bench) -> None:
    quick, whole = of(store)
    assert (len(quick), len(whole)) == (2, 2)
    for one in quick:
        assert one.identity["limit"] == 4
        assert one.n_queries <= 4
        assert one.costs is not None
        assert one.costs.repeats == 1
        assert list(contradictions(one)) == []
        assert list(contradictions(one.model_copy(update={"spec": whole[0].spec})))
    for one in whole:
        assert "limit" not in one.identity
        assert one.n_queries > 4
        assert one.costs is not None
        assert one.costs.repeats >= LEAST
    assert not {one.id for one in quick} & {one.id for one in whole}
    rows = bench.load(store).rows()
    assert sorted((row.task, row.limit) for row in rows) == [("stripes", None)] * 2 + [("stripes [limit=4]", 4)] * 2
    assert {row.others for row in rows} == {0}
    # Were it a task of its own, there would be two.
    assert overview(rows) is None
    assert {one.task for one in bench.load(store).compare("knn", "nearest_mean")} == {"stripes", "stripes [limit=4]"}
    # The mark survives in exported tables and in the plan.
    assert bench.export_records("runs.csv", store) == 4
    assert "limit" in Path("runs.csv").read_text().partition("\n")[0]
    code, out, _ = in_process(*RUN, "--limit", "4", "--dry-run")
    assert (code, out.count("recorded")) == (0, 3)


@pytest.mark.slow
def test_it_counts_for_no_check_history_or_claim(store: Path, tmp_path: Path) -> None:
    quick, whole = of(store)
    with pytest.warns(BenchWarning, match=r"a baseline leaves out 2 records of quick looks \(--limit\)"):
        assert bench.update_baseline(tmp_path / "baseline", store) == 2
    with pytest.warns(BenchWarning, match="a check leaves out 2 records"):
        found = bench.check(tmp_path / "baseline", store)
    assert {one.row for one in found} == {"stripes knn 2 shots", "stripes nearest_mean 2 shots"}
    wanted = [one.spec for one in whole]
    assert FoundRecords(quick).of(wanted)[0] == []
    assert len(FoundRecords([*quick, *whole]).of(wanted)[0]) == 2
    for one in whole:
        (store / f"{one.id}.json").unlink()
    for judged in (
        lambda: bench.check(tmp_path / "baseline", store),
        lambda: bench.update_baseline(tmp_path / "other", store),
        lambda: bench.add_to_history(tmp_path / "history.parquet", store, commit="1" * 40),
    ):
        with pytest.raises(
            UsageError, match="needs whole runs, and all 2 records are quick looks; run without --limit"
        ):
            judged()
    assert json.loads((store / f"{quick[0].id}.json").read_text())["spec"]["limit"] == 4


def test_a_suite_is_looked_at_quickly_and_its_limit_is_checked(in_process: Bench) -> None:
    code, out, err = in_process("run", "quickstart", "--limit", "0")
    assert (code, out) == (2, "")
    assert err.startswith("bench: run: limit: Input should be greater than or equal to 1, got 0")
