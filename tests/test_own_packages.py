"""A user's modules named tasks, methods or sweeps hide no plugin, and stay the user's."""

import os
import sys

import pytest

from bench import own_packages, registry
from tests.helpers import preloaded
from tests.helpers.places import ROOT

FOREIGN = "raise RuntimeError('a module of the user was imported')\n"


@pytest.fixture
def elsewhere(tmp_path):
    """A folder of a user's with modules of the project's names."""
    (tmp_path / "tasks.py").write_text(FOREIGN)
    (tmp_path / "sweeps.py").write_text(FOREIGN)
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "__init__.py").write_text(FOREIGN)
    return tmp_path


@pytest.mark.slow
def test_the_program_works_in_a_folder_with_such_modules(elsewhere, outside_site):
    """Programs of which no module of the project is imported yet; the processes that they spawn start anew."""
    paths = [elsewhere, outside_site, ROOT]
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "BENCH_CACHE": str(elsewhere / "cache"),
    }  # fmt: skip

    def bench(*words):
        ended = preloaded.run("bench", *words, cwd=elsewhere, env=environment, own=False, spawn=True)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    assert {line.split()[0] for line in bench("list", "tasks").splitlines()} >= {"digits", "lexicon", "stripes"}
    # A sweep spawns a process for its trial; a run in such a folder, which measures in one, is that of test_wheel.
    named = ("--task", "digits", "--backbone", "pixels", "--method", "knn", "--shots", "4", "--episodes", "1")
    options = ("--trials", "1", "--jobs", "2", "--accelerator", "cpu", "--logger", "none")
    assert "knn" in bench("sweep", *named, *options)


def test_a_module_that_the_user_imported_stays_the_user_s(elsewhere, monkeypatch):
    (elsewhere / "tasks.py").write_text("mine = True\n")
    registry.get("tasks", "digits").load()  # the project's own, to be there again after the test
    for name in [name for name in sys.modules if name.partition(".")[0] == "tasks"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(elsewhere))
    before = list(sys.path)
    import tasks

    assert tasks.mine
    assert registry.get("tasks", "digits").load().__module__ == "tasks.digits"
    assert sys.modules["tasks"] is tasks
    assert sys.path == before


def test_the_program_s_own_process_has_its_own_packages(elsewhere, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(elsewhere), *sys.path])
    monkeypatch.setitem(sys.modules, "tasks", object())
    own_packages.put_first()
    assert sys.path[0] == str(ROOT)
    assert "tasks" not in sys.modules
