"""A Ray cluster of two or three nodes on this machine: results of one process, also where a node or driver ends."""

import multiprocessing
import os
import time
from contextlib import closing
from importlib.util import find_spec

import pytest

from bench.contracts import UsageError
from bench.engine.trainer import DeviceOptions
from bench.results.store import Store
from bench.runs.executors.ray_cluster import RayExecutor
from sweeps.definition import sweep_spec
from sweeps.study import Sweep
from sweeps.trials import TuningData
from sweeps.units import TrialOptions
from tests.helpers.places import ROOT
from tests.helpers.runs import grid, results, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("outside", "cache"),
    pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray"),
]


SPECS = {"methods": ["faast", "knn", "nearest_mean"], "shots": [1], "seeds": [0, 1], "set": {}, "episodes": 3}
LIMIT = 100
"""More queries than a run has: costs are measured once, as Ray's processes know nothing of ``brief_costs``."""


@pytest.fixture(scope="module")
def cluster(outside_site, tmp_path_factory):
    """Two nodes with a processor each; the driver is on the first."""
    # Seconds to import, which every process that collects tests would take.
    import ray
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(outside_site), str(ROOT)]))
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        made.add_node(num_cpus=1)
        made.wait_for_nodes()
        yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def third_node(cluster):
    """A further node, so that one of two workers can be lost; one of them stays."""
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield
    for node in list(cluster.worker_nodes)[1:]:
        cluster.remove_node(node)


class Losing(RayExecutor):
    """An executor that loses a node of its cluster when the second result has come."""

    def __init__(self, cluster):
        super().__init__(cluster.address)
        self.cluster, self.results = cluster, 0

    def finished(self, seconds):
        outcomes = super().finished(seconds)
        self.results += len(outcomes)
        if self.results >= 2 and len(self.cluster.worker_nodes) == 2:
            self.cluster.remove_node(next(iter(self.cluster.worker_nodes)), allow_graceful=False)
        return outcomes


def drive(address, folder, specs):
    """A driver in a process of its own."""
    run(folder, RayExecutor(address), specs)


def test_a_driver_that_is_killed_and_started_again_completes_its_suite_with_nothing_twice(tmp_path, cluster):
    specs = grid(**SPECS, limit=LIMIT)
    store = Store(tmp_path / "ray")
    driver = multiprocessing.get_context("spawn").Process(target=drive, args=(cluster.address, store.root, specs))
    driver.start()
    deadline = time.monotonic() + 120
    while not store.paths() and time.monotonic() < deadline:
        time.sleep(0.02)
    driver.kill()
    driver.join()
    before = results(store.root)
    assert 0 < len(before) < len(specs)
    report = run(store.root, RayExecutor(cluster.address), specs)
    assert len(report.reporter.ran) == len(specs) - len(before)
    assert results(store.root) == results(run(tmp_path / "one", specs=specs).store.root)
    assert results(store.root).items() >= before.items()
    assert store.attempts() == []


def test_trials_of_a_sweep_on_two_nodes_are_those_of_one_process(tmp_path, cluster):
    fields = {
        "task": "stripes",
        "backbone": "pixels",
        "method": "planted",
        "episodes": 3,
        "sampler": "random",
        "trials": 5,
    }
    spec, devices = sweep_spec(fields), DeviceOptions(accelerator="cpu", batch_size=16)
    executor, found = RayExecutor(cluster.address), []
    with closing(executor):
        executor.start(TrialOptions(devices))
        for place, each in (("ray", executor), ("one", None)):
            sweep = Sweep(spec, TuningData.of(spec, None, devices), tmp_path / place, executor=each)
            sweep.run()
            found.append([(trial.number, trial.params, trial.values) for trial in sweep.ended()])
    assert len(found[0]) == 5
    assert found[0] == found[1]


def test_a_suite_on_three_nodes_one_killed_is_complete_and_equal(tmp_path, cluster, third_node):
    specs = grid(**SPECS, limit=LIMIT)
    run(tmp_path / "one", specs=specs)
    executor = Losing(cluster)
    report = run(tmp_path / "ray", executor, specs)
    assert len(cluster.worker_nodes) == 1
    assert results(tmp_path / "ray") == results(tmp_path / "one")
    assert {record.status for record in report.records} == {"ok"}
    assert len(list(Store(tmp_path / "ray"))) == len(specs)


@pytest.mark.campaign
def test_two_thousand_runs_on_three_nodes_one_killed_are_complete_and_equal(tmp_path, cluster, third_node):
    specs = grid(methods=["faast", "knn", "nearest_mean", "zero_shot"], seeds=list(range(286)), set={}, episodes=1)
    assert len(specs) >= 2000
    run(tmp_path / "one", specs=specs)
    run(tmp_path / "ray", Losing(cluster), specs)
    assert len(cluster.worker_nodes) == 1
    assert results(tmp_path / "ray") == results(tmp_path / "one")


def test_a_cluster_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"no Ray cluster can be used at 127\.0\.0\.1:1: .*refused"):
        run(tmp_path, RayExecutor("127.0.0.1:1"))
    with pytest.raises(UsageError, match=r"gpus-per-run needs a whole number or a share between 0 and 1, got 1\.5"):
        RayExecutor(gpus_per_run=1.5)
