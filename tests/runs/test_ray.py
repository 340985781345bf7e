"""A Ray cluster of three nodes on this machine: complete and equal to one process, with a node killed on the way."""

import os
from pathlib import Path

import pytest

from bench.contracts import UsageError
from bench.results.store import Store
from bench.runs.executors.ray_cluster import RayExecutor
from tests.helpers.runs import grid
from tests.runs.test_executors import results, run

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402 (after the check that Ray is there)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("outside", "cache")]


@pytest.fixture
def cluster(outside, monkeypatch):
    """Three nodes with a processor each; the driver is on the first."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(outside), str(Path(__file__).parents[2])]))
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


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


def test_a_suite_on_three_nodes_one_killed_is_complete_and_equal(tmp_path, cluster):
    specs = grid(methods=["faast", "knn", "nearest_mean"], shots=[1], seeds=[0, 1], set={}, episodes=3)
    run(tmp_path / "one", specs=specs)
    executor = Losing(cluster)
    report = run(tmp_path / "ray", executor, specs)
    assert len(cluster.worker_nodes) == 1
    assert results(tmp_path / "ray") == results(tmp_path / "one")
    assert {record.status for record in report.records} == {"ok"}
    # A second call, as after the driver's end, has nothing left to do.
    assert run(tmp_path / "ray", RayExecutor(cluster.address), specs).reporter.ran == []
    assert len(list(Store(tmp_path / "ray"))) == len(specs)


@pytest.mark.campaign
def test_two_thousand_runs_on_three_nodes_one_killed_are_complete_and_equal(tmp_path, cluster):
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
