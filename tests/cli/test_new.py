"""``bench new`` and ``bench test``: what is written works as it stands, in a package of the user's own."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.helpers.command import one_line
from tests.helpers.packages import install
from tests.helpers.places import ROOT


@pytest.fixture
def bench(tmp_path, monkeypatch, in_process):
    """``bench ...`` in this process; answers exit code, output and standard error."""
    monkeypatch.chdir(tmp_path)

    return in_process


def installed(package, site):
    """A package in a folder of its own, as pip installs it."""
    install(package, site)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *filter(None, sys.path)])}


@pytest.mark.parametrize(("kind", "name"), [("method", "cosine_prototype"), ("task", "landscapes")])
def test_an_outside_package_works_as_it_was_written(bench, tmp_path, kind, name):
    code, out, err = bench("new", kind, name, "--package", "my-plugins")
    assert code == 0, err
    assert "pip install --editable my-plugins" in out
    assert f"bench test {name}" in out
    environment = installed(tmp_path / "my-plugins", tmp_path / "site")

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", *words], env=environment, capture_output=True, text=True, check=False
        )

    contract = run("bench", "test", name)
    assert contract.returncode == 0, contract.stdout
    assert " passed" in contract.stdout
    own = run("pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "my-plugins" / "tests"))
    assert own.returncode == 0, own.stdout
    assert name in run("bench", "list", f"{kind}s").stdout


@pytest.mark.parametrize(("kind", "name"), [("method", "cosine_prototype"), ("task", "my_words")])
def test_what_is_written_into_a_checkout_works_there(tmp_path, kind, name):
    checkout = tmp_path / "checkout"
    for part in ("bench", "methods", "tasks", "sweeps", "tests"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", checkout)

    def run(*words):
        # The current folder comes first on a module's path, so that the copy is what runs.
        ended = subprocess.run(
            [sys.executable, "-m", *words], cwd=checkout, env=os.environ | {"PYTHONPATH": str(checkout)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    assert f"wrote {checkout / f'{kind}s' / name}.py" in run("bench", "new", kind, name)
    assert name in run("bench", "list", f"{kind}s")
    assert " passed" in run("bench", "test", name)
    assert " passed" in run("pytest", "-q", "-p", "no:cacheprovider", f"tests/{kind}s/test_{name}.py")


def test_a_second_plugin_is_told_how_to_enter_the_package(bench, tmp_path):
    bench("new", "method", "first_one", "--package", "plugins")
    before = (tmp_path / "plugins" / "pyproject.toml").read_text()
    code, out, _ = bench("new", "task", "second_one", "--package", "plugins")
    assert code == 0
    assert 'second_one = "plugins.second_one:PLUGIN"' in out
    assert (tmp_path / "plugins" / "pyproject.toml").read_text() == before


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("method", "Faast-2"), "a method needs a name in lower case that is a Python name, such as my_method"),
        (("method", "faast"), "methods has a 'faast' already, from bench; take another name"),
        (("task", "class"), "a task needs a name in lower case"),
    ],
)
def test_a_name_that_cannot_be_is_told(bench, words, error):
    assert error in one_line(bench("new", *words, "--package", "plugins"), 2)


def test_nothing_is_overwritten(bench):
    bench("new", "method", "first_one", "--package", "plugins")
    assert "is there already" in one_line(bench("new", "method", "first_one", "--package", "plugins"), 2)


def test_an_unknown_plugin_suggests_the_nearest(bench):
    assert "did you mean 'faast'" in one_line(bench("test", "fast"), 2)


def test_a_plugin_that_breaks_the_contract_fails(outside):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(outside), *filter(None, sys.path)])}
    ended = subprocess.run(
        [sys.executable, "-m", "bench", "test", "faulty"], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "failed" in ended.stdout
