"""A user's modules named tasks, methods or sweeps hide no plugin, and stay the user's."""

import os
import subprocess
import sys

import pytest

from bench import own_packages, registry
from tests.helpers import preloaded
from tests.helpers.places import ROOT

FOREIGN = "raise RuntimeError('a module of the user was imported')\n"
SPAWNING = """
from bench import own_packages
from bench.engine.server_start import connected_process, packed


def send(connection):
    import methods, sweeps, tasks

    connection.send([path for package in (methods, sweeps, tasks) for path in package.__path__])


if __name__ == "__main__":
    own_packages.put_first()
    process, connection = connected_process(packed(send))
    print(*connection.recv(), sep="\\n")
    process.join()
"""
"""A program that starts a process as this one starts those that measure, and imports nothing else."""


@pytest.fixture
def elsewhere(tmp_path):
    """A folder of a user's with modules of the project's names."""
    (tmp_path / "tasks.py").write_text(FOREIGN)
    (tmp_path / "sweeps.py").write_text(FOREIGN)
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "__init__.py").write_text(FOREIGN)
    return tmp_path


@pytest.fixture
def environment(elsewhere, outside_site):
    """The environment of a process that finds the user's modules before the project's."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [elsewhere, outside_site, ROOT]))}


@pytest.mark.slow
def test_the_program_lists_its_own_plugins_in_a_folder_with_such_modules(elsewhere, environment):
    """No module of the project is imported yet; tests/test_wheel.py has a run in such a folder."""
    ended = preloaded.run("bench", "list", "tasks", cwd=elsewhere, env=environment, own=False)
    assert ended.returncode == 0, ended.stderr
    assert {line.split()[0] for line in ended.stdout.splitlines()} >= {"digits", "lexicon", "stripes"}


@pytest.mark.slow
def test_a_spawned_process_has_the_program_s_own_packages(elsewhere, environment):
    (elsewhere / "spawning.py").write_text(SPAWNING)
    command = [sys.executable, "spawning.py"]
    ended = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == [str(ROOT / name) for name in ("methods", "sweeps", "tasks")], ended.stderr


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
