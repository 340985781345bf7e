"""Executors: the same records as in one process, whatever ends meanwhile."""

import os
import signal
from itertools import chain
from types import SimpleNamespace

import psutil
import pytest

from bench.api.execution import share_of
from bench.contracts import UsageError
from bench.engine import encoding
from bench.engine.trainer import DeviceOptions
from bench.results.store import Store
from bench.runs.executors import TRIES, Refused, UnitOptions, UnitResult
from bench.runs.executors.driver import Driver
from bench.runs.executors.local import LocalExecutor
from bench.runs.runner import fresh_processes
from tests.helpers.runs import FEW, grid, results, run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("outside", "cache")]


class Killing(LocalExecutor):
    """An executor whose workers are killed as soon as they have a unit of FAAST, a number of times."""

    def __init__(self, jobs, kills):
        super().__init__(jobs)
        self.kills = kills

    def submit(self, unit):
        super().submit(unit)
        if self.kills and unit.spec.method == "faast":
            self.kills -= 1
            os.kill(next(job.process.pid for job in self._started if job.unit is unit), signal.SIGKILL)


def test_two_processes_give_the_records_of_one_also_when_a_worker_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "ITEMS_PER_SHARD", 8)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache of one"))
    run(tmp_path / "one")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache of two"))
    executor = Killing(2, kills=1)
    report = run(tmp_path / "two", executor)
    # Files are named by their items in order: the same ones were encoded together.
    one, two = ({path.name for path in tmp_path.glob(f"cache of {each}/**/*.safetensors")} for each in ("one", "two"))
    assert one == two
    assert len(one) > 2
    assert results(tmp_path / "two") == results(tmp_path / "one")
    assert len(report.records) == 4
    assert [line.partition(":")[0] for line in report.reporter.problems] == ["stripes faast is executed again"]
    # Seeds share their costs, wherever they are executed.
    shared = [record.costs.measured_for for record in report.records]
    assert sum(map(bool, shared)) == 2
    assert executor._started == []
    again = run(tmp_path / "two", LocalExecutor(2))
    assert again.reporter.ran == []
    assert len(again.records) == 4


class KillingIdle(LocalExecutor):
    """An executor whose first worker is killed when it has nothing to do."""

    killed = False

    def submit(self, unit):
        for job in self._started:
            if job.unit is None and not self.killed:
                self.killed = True
                os.kill(job.process.pid, signal.SIGKILL)
                job.process.join()
        super().submit(unit)


@pytest.mark.parametrize(
    ("accelerator", "chosen"), [("auto", ["cuda:0", "cuda:1", "cuda:0"]), ("cuda:1", ["cuda:1", "cuda:1", "cuda:1"])]
)
def test_processes_take_the_gpus_of_a_machine_in_turn(monkeypatch, accelerator, chosen):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr(DeviceOptions, "device_kind", lambda options: "cuda")
    executor = LocalExecutor(3)
    executor.start(UnitOptions(DeviceOptions(accelerator), fresh_processes))
    assert [executor._options_of(number).devices.accelerator for number in range(3)] == chosen


def test_a_worker_that_is_killed_between_two_runs_is_replaced(tmp_path):
    specs = grid(**FEW | {"seeds": [0]})
    executor = KillingIdle(1)
    report = run(tmp_path, executor, specs)
    assert executor.killed
    assert {record.status for record in report.records} == {"ok"}
    assert [line.partition(":")[0] for line in report.reporter.problems] == ["stripes knn is executed again"]


def test_a_run_that_always_ends_its_worker_is_a_failed_record_and_harms_no_other(tmp_path):
    specs = [spec for spec in grid(**FEW) if spec.seed == 0]
    report = run(tmp_path, Killing(1, kills=TRIES), specs)
    status = {record.spec.method: record for record in report.records}
    assert status["faast"].status == "failed"
    assert f"its worker ended {TRIES} times before it answered" in status["faast"].reason
    assert status["knn"].status == "ok"


def test_a_matched_run_has_the_budget_of_its_reference(tmp_path):
    specs = grid(**FEW | {"match": "knn:state_mb", "seeds": [0]})
    run(tmp_path / "one", specs=specs)
    run(tmp_path / "two", LocalExecutor(2), specs)
    assert results(tmp_path / "two") == results(tmp_path / "one")
    assert {record.limits.get("state_mb") for record in Store(tmp_path / "two")} == {
        record.limits.get("state_mb") for record in Store(tmp_path / "one")
    }


def test_an_interrupted_program_leaves_no_process_and_failed_records(tmp_path):
    class Interrupting(LocalExecutor):
        def finished(self, seconds):
            raise KeyboardInterrupt

    executor = Interrupting(2)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, executor)
    assert executor._started == []
    assert [child for child in psutil.Process().children() if "serve_units" in " ".join(child.cmdline())] == []
    found = list(Store(tmp_path))
    assert {record.status for record in found} == {"failed"}
    assert all("run again to complete it" in record.reason for record in found)
    assert all(record.status == "ok" for record in run(tmp_path).records)


def test_shares_are_the_whole_suite_and_keep_seeds_together():
    specs = [(spec, None) for spec in grid()]
    shares = [share_of(specs, f"{number}/3") for number in (1, 2, 3)]
    assert sorted(map(str, chain(*shares))) == sorted(map(str, specs))
    for share in shares:
        assert len(share) % 2 == 0
        assert len({(spec.method, spec.shots) for spec, _ in share}) == len(share) / 2
    with pytest.raises(UsageError, match="shard needs I/N with I from 1 to N, such as 2/8, got '9/8'"):
        share_of(specs, "9/8")
    matched = [(spec, None) for spec in grid(**FEW | {"match": "knn:state_mb"})]
    for number in (1, 2):
        assert {spec.method for spec, _ in share_of(matched, f"{number}/2")} >= {"knn"}


class Watching(LocalExecutor):
    """An executor that notes all processes of its workers."""

    def __init__(self, jobs):
        super().__init__(jobs)
        self.seen = set()

    def finished(self, seconds):
        outcomes = super().finished(seconds)
        for job in self._started:
            worker = psutil.Process(job.process.pid)
            self.seen |= {worker, *worker.children(recursive=True)}
        return outcomes


def test_measuring_processes_of_workers_end_with_the_driver(tmp_path):
    executor = Watching(1)
    report = run(tmp_path, executor, grid(**FEW | {"seeds": [0]}), isolate=fresh_processes)
    assert {record.costs.process for record in report.records} == {"fresh"}
    assert {record.status for record in report.records} == {"ok"}
    assert len(executor.seen) >= 2
    _, alive = psutil.wait_procs(executor.seen, timeout=10)
    assert alive == []


class Elsewhere:
    """An executor with a given outcome of each run, all of them at once."""

    name = "ray"

    def __init__(self, *outcomes):
        self.outcomes, self.units = outcomes, []

    def room(self):
        return len(self.outcomes) - len(self.units)

    def submit(self, unit):
        self.units.append(unit)

    def finished(self, seconds):
        return list(zip(self.units, self.outcomes, strict=True))

    def close(self):
        pass


def planned(record):
    """The run of a record, as planned."""
    facts = {"spec": record.spec, "id": record.id, "identity": record.identity, "reference_id": None, "title": "a run"}
    return SimpleNamespace(**facts, record=lambda **changes: record.model_copy(update=changes))


@pytest.fixture
def made(tmp_path):
    """A report with an empty store, and records of two runs that were executed before."""
    report = run(tmp_path / "one", specs=grid(**FEW | {"seeds": [0]}))
    records, report.records, report.store = list(report.records), [], Store(tmp_path / "two")
    report.store.prepare()
    return report, records


def test_a_result_under_another_id_is_kept_and_said(made):
    report, (record, _) = made
    other = record.model_copy(update={"id": "0" * 16, "predictions": None})
    Driver(Elsewhere(UnitResult(other)), "cpu", report).run([planned(record)], [])
    assert [kept.id for kept in report.records] == ["0" * 16]
    assert "was executed with other libraries, data or weights than this program has" in report.problems[0]


def test_a_run_that_ends_the_call_does_so_after_the_results_that_came_with_it(made):
    report, (wrong, right) = made
    executor = Elsewhere(
        Refused(UsageError("no such device")), UnitResult(right.model_copy(update={"predictions": None}))
    )
    with pytest.raises(UsageError, match="no such device"):
        Driver(executor, "cpu", report).run([planned(wrong), planned(right)], [])
    assert [(kept.id, kept.status) for kept in report.records] == [(right.id, "ok"), (wrong.id, "failed")]
