"""Every template of ``bench new``: what it writes passes the contract suite of its kind, and the checks of style."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bench.contracts import AnyMethod, Backbone, Kind, Metric, Task
from bench.testing.backbone_contract import BackboneContract
from bench.testing.method_contract import MethodContract
from bench.testing.metric_contract import MetricContract
from bench.testing.task_contract import TaskContract
from tests.helpers.places import ROOT
from tests.helpers.templates import PACKAGE, write_all


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A package with a plugin of each template, ready to be imported."""
    folder = write_all(tmp_path_factory.mktemp("outside") / PACKAGE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture(scope="session")
def load(folder: Path) -> Callable[[str], Any]:
    """Imports a plugin of the package."""
    return lambda name: import_module(f"{PACKAGE}.{name}").PLUGIN


class TestMethodTemplate(MethodContract):
    @pytest.fixture
    def method(self, load: Callable[[str], type[AnyMethod]]) -> type[AnyMethod]:
        return load("new_method")


class TestTaskTemplates(TaskContract):
    @pytest.fixture(params=Kind)
    def task(self, request: pytest.FixtureRequest, load: Callable[[str], type[Task]]) -> Task:
        task = load(f"new_{request.param}")()
        assert task.kind is request.param
        return task


class TestBackboneTemplate(BackboneContract):
    @pytest.fixture(scope="class")
    def backbone(self, load: Callable[[str], type[Backbone]]) -> Backbone:
        return load("new_backbone")()


class TestMetricTemplate(MetricContract):
    @pytest.fixture
    def metric(self, load: Callable[[str], type[Metric]]) -> Metric:
        return load("new_metric")("new_metric")


def test_what_is_written_passes_ruff(folder: Path) -> None:
    # Without the order of imports, which depends on where a package stands.
    words = ["check", "--config", str(ROOT / "pyproject.toml"), "--ignore", "I001", str(folder)]
    checked = subprocess.run([sys.executable, "-m", "ruff", *words], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
