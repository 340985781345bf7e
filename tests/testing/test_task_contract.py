"""The contract suite of tasks on every task, each on its own data or on a small local sample."""

from pathlib import Path

import pytest

from bench import registry
from bench.contracts import Task
from bench.testing.task_contract import TaskContract
from tests.helpers.task_samples import write_sample


class TestEveryTask(TaskContract):
    @pytest.fixture(params=sorted({*registry.find("tasks"), *registry.task_variants()} - {"iwslt2017"}))
    def task(self, request: pytest.FixtureRequest) -> Task:
        return registry.make_task(request.param)

    @pytest.fixture
    def data(self, task: Task, tmp_path: Path) -> Path | None:
        return write_sample(task, tmp_path / "data")
