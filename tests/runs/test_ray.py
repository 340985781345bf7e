"""A Ray cluster of two nodes on this machine: results of one process, also where a node and a driver end."""

import multiprocessing
import os
import time
from contextlib import closing
from importlib.util import find_spec

import pytest

from bench.contracts import UsageError
from bench.contracts.errors import BenchWarning
from bench.engine.trainer import DeviceOptions
from bench.results.store import Store
from bench.runs.executors.ray_cluster import RayExecutor
from sweeps.definition import sweep_spec
from sweeps.study import Sweep
from sweeps.trials import TuningData
from sweeps.units import TrialOptions
from tests.helpers.places import ROOT
from tests.helpers.runs import grid, outside_runner, results, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("outside", "cache"),
    pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray"),
]


SPECS = {"methods": ["faast", "knn", "nearest_mean"], "shots": [1], "seeds": [0, 1, 2], "set": {}, "episodes": 3}
LIMIT = 100
"""More queries than a run has: costs are measured once, as Ray's processes know nothing of ``brief_costs``."""


@pytest.fixture(scope="module")
def cluster(outside_site, tmp_path_factory):
    """A node with a processor."""
    # Seconds to import, which every process that collects tests would take.
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(outside_site), str(ROOT)]))
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        # Units that need no GPU are handed to both nodes.
        patch.setenv("RAY_scheduler_avoid_gpu_nodes", "0")
        # A node that is lost is known to be so in 3 s and not in 15.
        for name in ("period", "initial_delay"):
            patch.setenv(f"RAY_health_check_{name}_ms", "500")
        without = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **without})
        yield made
    made.shutdown()


@pytest.fixture(scope="module")
def left(cluster, outside_site, tmp_path_factory):
    """Runs of a suite, and the store that a driver has left which was killed; its own worker is on the one node."""
    folder = tmp_path_factory.mktemp("suite")
    store = Store(folder / "ray")
    with outside_runner(outside_site, folder):
        specs = grid(**SPECS, limit=LIMIT)
        driver = multiprocessing.get_context("spawn").Process(target=drive, args=(cluster.address, store.root, specs))
        driver.start()
        deadline = time.monotonic() + 120
        while not store.paths() and time.monotonic() < deadline:
            time.sleep(0.02)
        driver.kill()
        driver.join()
    return specs, store


@pytest.fixture(scope="module")
def connected(cluster, left):
    """Two nodes, with this process connected: Ray's workers, which import libraries for seconds, serve all tests.

    The second node says that it has two GPUs.
    """
    import ray

    cluster.add_node(num_cpus=1, num_gpus=2)
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()


class Losing(RayExecutor):
    """An executor that loses a node of its cluster when the second result has come."""

    def __init__(self, cluster):
        super().__init__(cluster.address)
        self.cluster, self.results, self.lost = cluster, 0, None

    def finished(self, seconds):
        outcomes = super().finished(seconds)
        self.results += len(outcomes)
        if self.results >= 2 and self.lost is None:
            self.lost = next(iter(self.cluster.worker_nodes))
            self.cluster.remove_node(self.lost, allow_graceful=False)
        return outcomes


def drive(address, folder, specs):
    """A driver in a process of its own."""
    run(folder, RayExecutor(address), specs)


def test_a_cluster_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"no Ray cluster can be used at 127\.0\.0\.1:1: .*refused"):
        run(tmp_path, RayExecutor("127.0.0.1:1"))
    with pytest.raises(UsageError, match=r"gpus-per-run needs a whole number or a share between 0 and 1, got 1\.5"):
        RayExecutor(gpus_per_run=1.5)


def test_an_executor_leaves_a_cluster_that_it_has_connected_to(cluster):
    import ray

    with closing(RayExecutor(cluster.address)) as executor:
        executor.start(TrialOptions(DeviceOptions(accelerator="cpu")))
        assert executor.places() == 1
    assert not ray.is_initialized()


def test_each_unit_sees_the_gpus_that_it_has_requested(connected):
    import ray

    # Ray sends functions of functions whole: its workers import no libraries of ours for it.
    def gpus():
        share = ray.get_runtime_context().get_assigned_resources().get("GPU", 0)
        return share, os.environ.get("CUDA_VISIBLE_DEVICES")

    for requested, places, visible in ((0.5, 2, {"0", "1"}), (2, 1, {"0,1"})):
        with closing(RayExecutor(connected.address, gpus_per_run=requested)) as executor:
            executor.start(TrialOptions(DeviceOptions()))
            assert executor.places() == places
            share, seen = ray.get(executor._task(gpus).remote())
        assert (share, seen in visible) == (requested, True), seen
    with closing(RayExecutor(connected.address)) as executor:
        with pytest.warns(BenchWarning, match="Ray hides the 2 GPUs of this cluster"):
            executor.start(TrialOptions(DeviceOptions()))
        share, seen = ray.get(executor._task(gpus).remote())
    assert (share, seen in {"", None}) == (0, True), seen


def test_trials_of_a_sweep_on_two_nodes_are_those_of_one_process(tmp_path, connected):
    fields = {
        "task": "stripes",
        "backbone": "pixels",
        "method": "planted",
        "episodes": 3,
        "sampler": "random",
        "trials": 5,
    }
    spec, devices = sweep_spec(fields), DeviceOptions(accelerator="cpu", batch_size=16)
    executor, found = RayExecutor(connected.address), []
    with closing(executor):
        executor.start(TrialOptions(devices))
        for place, each in (("ray", executor), ("one", None)):
            sweep = Sweep(spec, TuningData.of(spec, None, devices), tmp_path / place, executor=each)
            sweep.run()
            found.append([(trial.number, trial.params, trial.values) for trial in sweep.ended()])
    assert len(found[0]) == 5
    assert found[0] == found[1]


def test_a_suite_whose_driver_and_then_a_node_are_killed_is_complete_and_equal_with_nothing_twice(
    tmp_path, left, connected
):
    specs, store = left
    before = results(store.root)
    assert 0 < len(before) < len(specs)
    executor = Losing(connected)
    report = run(store.root, executor, specs)
    assert executor.lost not in connected.worker_nodes
    assert len(report.reporter.ran) == len(specs) - len(before)
    assert results(store.root) == results(run(tmp_path / "one", specs=specs).store.root)
    assert results(store.root).items() >= before.items()
    assert {record.status for record in report.records} == {"ok"}
    assert len(list(store)) == len(specs)
    assert store.attempts() == []


@pytest.mark.campaign
def test_two_thousand_runs_on_three_nodes_one_killed_are_complete_and_equal(tmp_path, connected):
    specs = grid(methods=["faast", "knn", "nearest_mean", "zero_shot"], seeds=list(range(286)), set={}, episodes=1)
    assert len(specs) >= 2000
    connected.add_node(num_cpus=1)
    connected.wait_for_nodes()
    run(tmp_path / "one", specs=specs)
    run(tmp_path / "ray", Losing(connected), specs)
    assert len(connected.worker_nodes) == 1
    assert results(tmp_path / "ray") == results(tmp_path / "one")
