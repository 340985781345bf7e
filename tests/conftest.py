"""Fixtures for all tests: the outside package, the embedded backbones, a cache of the test's own, the command."""

import atexit
import gc
import multiprocessing
import os
import re
import shutil
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

# As the command line does it, and before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Tests that run side by side have a core each.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from filelock import FileLock

from bench import registry
from bench.toolkit.files import cache_folder
from tests.helpers import brief_costs as brief
from tests.helpers import forked_worker, kernel, unflushed
from tests.helpers.command import bench
from tests.helpers.packages import install
from tests.helpers.preloaded import context, share, spawning_by

# Until tests run, nothing is garbage: collections would go through all that is imported again and again.
gc.disable()
# Objects are freed as ever at the end of the interpreter, where libraries report what is left of theirs.
atexit.register(gc.unfreeze)
TESTS = Path(__file__).parent
SKIPPED = pytest.StashKey[tuple[Path, int]]()
"""File of the last test before which loaded objects were frozen, and the number of modules then."""
FEW_MODULES = 20
"""Modules that a test may import before the next one freezes what is loaded again."""
MARKED_FILE = re.compile(r"^pytestmark = \[?\s*pytest\.mark\.(\w+)", re.MULTILINE)
"""Mark of all tests of a file."""


def _left_out(config, mark):
    """Whether this call leaves out the tests with a mark."""
    return f"not {mark}" in config.option.markexpr


def pytest_ignore_collect(collection_path, config):
    """A file is not even imported where all its tests are left out."""
    if collection_path.suffix == ".py":
        marked = MARKED_FILE.search(collection_path.read_text(encoding="utf-8"))
        if marked and _left_out(config, marked[1]):
            return True
    return None


def pytest_collection_modifyitems(items):
    """Files with slow tests come first, so that no worker is left with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop():
    """Garbage is collected as ever while tests run, of what they make."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config, specs):
    """Workers fork one process that has imported the libraries, in place of one each.

    Without slow tests, which measure too, they are forks of it themselves.
    """
    share()
    if _left_out(config, "slow"):
        forked_worker.have_forked(specs)


def pytest_sessionstart(session):
    """A notebook's kernel is a fork of that process too."""
    session.jupyter = TemporaryDirectory(prefix="jupyter-", ignore_cleanup_errors=True)
    kernel.declare(Path(session.jupyter.name))
    if session.config.option.markexpr == "alone":
        context()  # the other core imports the libraries while this one collects the tests


@pytest.fixture(scope="session")
def outside_site(tmp_path_factory):
    """A folder with the outside package installed in it, as pip installs any package."""
    site = tmp_path_factory.mktemp("site")
    # Workers share the built package; each has a copy, because a test edits it.
    own = tmp_path_factory.getbasetemp()
    built = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "outside-built"
    with FileLock(f"{built}.lock"):
        if not built.exists():
            # A copy of the source too, because a build leaves folders in it.
            source = tmp_path_factory.mktemp("source") / "outside"
            shutil.copytree(TESTS / "outside", source)
            install(source, built)
    shutil.copytree(built, site, dirs_exist_ok=True)
    return site


@pytest.fixture(scope="session", autouse=True)
def preloaded_processes():
    """Processes that tests and the program spawn find the libraries imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiprocessing, "get_context", spawning_by(context))
        yield


@pytest.fixture(scope="session", autouse=True)
def unflushed_files():
    """What tests write is not flushed to the disk, as in processes that are forked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", unflushed.done)
        yield


@pytest.fixture(autouse=True)
def loaded_objects_skipped(request):
    """Collections of garbage, one before each measured stage, skip what is loaded: half a second each time."""
    module, n_loaded = request.config.stash.get(SKIPPED, (None, 0))
    if request.path != module or len(sys.modules) > n_loaded + FEW_MODULES:
        gc.collect()
        gc.freeze()
        request.config.stash[SKIPPED] = request.path, len(sys.modules)


@pytest.fixture
def brief_costs(monkeypatch):
    """Costs are measured once, which is what most tests need of them; those of tests/costs repeat them."""
    brief.set_during(monkeypatch)


@pytest.fixture
def outside(outside_site, brief_costs, monkeypatch):
    """The outside package's plugins, beside the project's own."""
    monkeypatch.syspath_prepend(str(outside_site))
    registry.find.cache_clear()
    yield outside_site
    registry.find.cache_clear()


@pytest.fixture(scope="session")
def smollm2():
    """The packaged language model; workers that need it convert its weights once, in the user's cache."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "tests.lock"):
        return registry.make_backbone("smollm2_135m")


@pytest.fixture(scope="session")
def efficientnet_lite0():
    """The packaged image encoder."""
    return registry.make_backbone("efficientnet_lite0")


@pytest.fixture
def cache(tmp_path, brief_costs, monkeypatch):
    """A feature cache of the test's own."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def in_process(monkeypatch, capsys):
    """``bench ...`` in this process; answers exit code, output and standard error."""

    return partial(bench, monkeypatch, capsys)
