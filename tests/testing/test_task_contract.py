"""The contract suite of tasks on every task and variant, each on its own data or on a small local sample."""

from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.contracts import Task, TaskData, UsageError
from bench.testing.task_contract import TaskContract
from tests.helpers.task_samples import write_sample


def task_names() -> list[str]:
    """Every task that needs no argument, and every variant."""
    names = [*registry.find("tasks"), *registry.task_variants()]
    return sorted(name for name in names if is_whole(name))


def cases() -> list[Any]:
    """All names; of the variants of a task the fast tests have one, as the same code loads the others."""
    found: dict[str, list[Any]] = {}
    for name in task_names():
        of_its_task = found.setdefault(name.partition(":")[0], [])
        of_its_task.append(pytest.param(name, marks=pytest.mark.slow) if of_its_task else name)
    return [case for of_its_task in found.values() for case in of_its_task]


def is_whole(name: str) -> bool:
    """Whether a task's name needs no further argument."""
    try:
        registry.task_argument(name)
    except UsageError:
        return False
    return True


class TestEveryTask(TaskContract):
    """Each task's data are written and loaded once for all its tests, none of which changes them."""

    @pytest.fixture(scope="class", params=cases())
    def task(self, request: pytest.FixtureRequest) -> Task:
        return registry.make_task(request.param)

    @pytest.fixture(scope="class")
    def data(self, task: Task, tmp_path_factory: pytest.TempPathFactory) -> Path | None:
        return write_sample(task, tmp_path_factory.mktemp("sample") / "data")

    @pytest.fixture(scope="class")
    def loaded(self, task: Task, data: Path | None) -> TaskData:
        return task.load(data)


class TestChats(TestEveryTask):
    @pytest.fixture(scope="class", params=["lexicon", "banking77", "iwslt2017:en-fr"])
    def plain(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture(scope="class")
    def task(self, plain: str) -> Task:
        return registry.make_task(plain, "chat")

    @pytest.fixture(scope="class")
    def data(self, plain: str, tmp_path_factory: pytest.TempPathFactory) -> Path | None:
        return write_sample(registry.make_task(plain), tmp_path_factory.mktemp("sample") / "data")


def test_a_task_without_its_argument_is_not_whole() -> None:
    assert not is_whole("iwslt2017")
    assert {"digits", "iwslt2017:de-en", "mini_imagenet", "mini_imagenet:ids"} <= set(task_names())
