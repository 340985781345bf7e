"""Contract suites of the plugin in pytest's options; ``bench.testing.__main__`` runs one of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import registry
from bench.contracts import AnyMethod, Backbone, BenchError, Metric, Task, TaskData
from bench.testing.backbone_contract import BackboneContract
from bench.testing.language_backbone_contract import LanguageBackboneContract
from bench.testing.method_contract import MethodContract
from bench.testing.metric_contract import MetricContract
from bench.testing.task_contract import TaskContract


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this module, which pytest loads by ``-p``.

    Args:
        parser: pytest's parser.
    """
    parser.addoption("--plugin", help="Name of the plugin, with its argument if it takes one.")
    parser.addoption("--plugin-data", type=Path, help="Folder of local data for a task.")


@pytest.fixture(scope="session")
def plugin(request: pytest.FixtureRequest) -> str:
    """The name of the plugin under test."""
    return str(request.config.getoption("--plugin"))


@contextmanager
def missing_ends_the_suite() -> Iterator[None]:
    """Context in which missing data or weights end the suite, instead of failing test after test."""
    try:
        yield
    except BenchError as error:
        pytest.exit(str(error), returncode=1)


class TestMethod(MethodContract):
    """The suite of methods."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every test at each site of the method; in the class, since pytest loads this module twice.

        Args:
            metafunc: pytest's test function.
        """
        if "method" in metafunc.fixturenames:
            names = registry.names_by_site(str(metafunc.config.getoption("--plugin")))
            metafunc.parametrize("method", names, indirect=True)

    @pytest.fixture
    def method(self, request: pytest.FixtureRequest) -> type[AnyMethod]:
        """The class of the named method at one of its sites."""
        return registry.method_class(request.param)  # type: ignore[return-value]


class TestTask(TaskContract):
    """The suite of tasks, on data that is loaded once."""

    @pytest.fixture(scope="session")
    def task(self, plugin: str) -> Task:
        """The named task."""
        return registry.make_task(plugin)

    @pytest.fixture(scope="session")
    def data(self, request: pytest.FixtureRequest) -> Path | None:
        """The folder from the command line."""
        folder: Path | None = request.config.getoption("--plugin-data")
        return folder

    @pytest.fixture(scope="session")
    def loaded(self, task: Task, data: Path | None) -> TaskData:
        """The task's data; missing data ends the suite with one line."""
        with missing_ends_the_suite():
            return task.load(data)


class TestMetric(MetricContract):
    """The suite of metrics."""

    @pytest.fixture
    def metric(self, plugin: str) -> Metric:
        """The named metric."""
        return registry.make_metric(plugin)


class TestBackbone(BackboneContract):
    """The suite of backbones."""

    @pytest.fixture(scope="session")
    def backbone(self, plugin: str) -> Backbone:
        """The named backbone; missing weights end the suite with one line."""
        with missing_ends_the_suite():
            return registry.make_backbone(plugin)


class TestLanguageBackbone(TestBackbone, LanguageBackboneContract):
    """The suite of language models."""
