"""Fixtures for all tests: an outside package, and a store, a cache and a W&B of the test's own."""

import os
import subprocess
from functools import partial
from pathlib import Path

# As the command line does it, and before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Tests that run side by side have a core each.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from bench import registry
from tests.helpers.command import bench
from tests.helpers.packages import install

TESTS = Path(__file__).parent


@pytest.fixture(scope="session")
def outside_site(tmp_path_factory):
    """A folder with the outside package installed in it, as pip installs any package."""
    site = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "outside"
    # A copy, because a build leaves folders in its source.
    subprocess.run(["cp", "-r", str(TESTS / "outside"), str(source)], check=True)
    install(source, site)
    return site


@pytest.fixture
def outside(outside_site, monkeypatch):
    """The outside package's plugins, beside the project's own."""
    monkeypatch.syspath_prepend(str(outside_site))
    registry.find.cache_clear()
    yield outside_site
    registry.find.cache_clear()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A feature cache of the test's own."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def in_process(monkeypatch, capsys):
    """``bench ...`` in this process; answers exit code, output and standard error."""

    return partial(bench, monkeypatch, capsys)
