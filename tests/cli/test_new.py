"""``bench new`` and ``bench test``: what is written works as it stands, in a checkout and in a package of one's own."""

import os
import shutil
import sys

import pytest

from bench import registry
from bench.contracts import Kind
from tests.helpers import preloaded
from tests.helpers.command import one_line, shell
from tests.helpers.packages import forget, install
from tests.helpers.places import ROOT

FEW = ("-q", "-p", "no:cacheprovider", "-k", "declares_itself or finds_classes or the_scale or by_hand")
"""Options of pytest: a test of each contract suite, and those beside it; tests/testing/test_templates.py runs all."""
WRITING = """
from bench import registry
from bench.cli.app import app

for kind in ("method", "task", "backbone", "metric"):
    app(["new", kind, f"my_{kind}"], standalone_mode=False)
registry.find.cache_clear()
app(["list", "methods"], standalone_mode=False)
"""


@pytest.fixture
def bench(tmp_path, monkeypatch, in_process):
    """``bench ...`` in this process; answers exit code, output and standard error."""
    monkeypatch.chdir(tmp_path)

    return in_process


@pytest.fixture
def site(tmp_path):
    """A folder of installed packages."""
    yield tmp_path / "site"
    forget(tmp_path / "site")


def with_path(site):
    """The environment in which packages installed in a folder are found."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(site), *filter(None, sys.path)])}


def run(*words, cwd=None, env=None):
    """The output of a module in a process of its own, which must succeed; in another checkout, with its packages."""
    ended = preloaded.run(*words, own=cwd is None, cwd=cwd, env=env)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_an_installed_package_of_plugins_of_each_group_is_listed_and_passes(bench, tmp_path, site, monkeypatch):
    code, out, err = bench("new", "method", "cosine_prototype", "--package", "my-plugins")
    assert code == 0, err
    assert "pip install --editable my-plugins" in out
    assert "bench test cosine_prototype" in out
    project = tmp_path / "my-plugins" / "pyproject.toml"
    others = {"task": "landscapes", "backbone": "convolutions", "metric": "reciprocal"}
    for group, name in others.items():
        _, out, _ = bench("new", group, name, "--package", "my-plugins")
        entry = f'{name} = "my_plugins.{name}:PLUGIN"'
        assert f'add under [project.entry-points."bench.{group}s"]:\n{entry}\n' in out
        project.write_text(project.read_text() + f'\n[project.entry-points."bench.{group}s"]\n{entry}\n')
    install(tmp_path / "my-plugins", site)
    environment = with_path(site)
    assert " passed" in run("bench", "test", "reciprocal", env=environment)
    tests = tmp_path / "my-plugins" / "tests"
    assert "7 passed" in run("pytest", *FEW, tests, env=environment)
    monkeypatch.syspath_prepend(str(site))
    registry.find.cache_clear()
    for group, name in {"method": "cosine_prototype", **others}.items():
        assert name in bench("list", f"{group}s")[1]


@pytest.mark.slow
def test_what_is_written_into_a_checkout_works_there(tmp_path):
    checkout = tmp_path / "checkout"
    for part in ("bench", "methods", "tasks", "sweeps", "tests"):
        # Compiled modules too, which are as old as their sources, but none that another process is writing.
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("*.pyc.*"))
    shutil.copy(ROOT / "pyproject.toml", checkout)
    # The current folder comes first on a module's path, so that the copy is what runs.
    place = {"cwd": checkout, "env": os.environ | {"PYTHONPATH": str(checkout)}}
    (checkout / "writing.py").write_text(WRITING)
    out = run("writing", **place)
    written = {"method": "methods", "task": "tasks", "backbone": "bench/backbones", "metric": "bench/metrics"}
    for kind, folder in written.items():
        assert f"wrote {checkout / folder}/my_{kind}.py" in out
    assert "my_method" in {line.split()[0] for line in out.splitlines() if line.split()}
    tests = [f"tests/{kind}s/test_my_{kind}.py" for kind in written]
    assert "7 passed" in run("pytest", *FEW, *tests, **place)


@pytest.mark.parametrize("kind", Kind)
def test_a_task_is_of_the_kind_that_is_wanted(bench, tmp_path, kind):
    code, _, err = bench("new", "task", "mine", "--kind", kind, "--package", "plugins")
    assert code == 0, err
    assert f"kind = Kind.{kind.name}\n" in (tmp_path / "plugins" / "plugins" / "mine.py").read_text()


def test_a_second_plugin_leaves_the_packages_project_file_as_it_is(bench, tmp_path):
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
        (("method", "faast"), "methods already has 'faast', from bench; take another name"),
        (("task", "class"), "a task needs a name in lower case"),
        (("backbone", "hf"), "backbones already has 'hf', from bench; take another name"),
    ],
)
def test_a_name_that_cannot_be_used_is_one_line(bench, words, error):
    assert error in one_line(bench("new", *words, "--package", "plugins"), 2)


def test_nothing_is_overwritten(bench):
    bench("new", "method", "first_one", "--package", "plugins")
    assert " exists; " in one_line(bench("new", "method", "first_one", "--package", "plugins"), 2)


@pytest.mark.parametrize(
    ("name", "close"), [("fast", "faast"), ("digit", "digits"), ("smollm2", "smollm2_135m"), ("bleau", "bleu")]
)
def test_an_unknown_plugin_suggests_the_nearest_of_any_group(bench, name, close):
    wanted = f"no method, task, backbone or metric {name!r}; did you mean '{close}'"
    assert wanted in one_line(bench("test", name), 2)


def test_a_folder_of_data_that_is_not_there_is_one_line(bench):
    assert "--data needs a folder, got nowhere" in one_line(bench("test", "digits", "--data", "nowhere"), 2)


@pytest.mark.slow
def test_a_plugin_that_breaks_the_contract_fails(outside):
    ended = shell("test", "faulty", **{"PYTHONPATH": with_path(outside)["PYTHONPATH"]})
    assert ended.returncode == 1
    assert "failed" in ended.stdout


@pytest.mark.slow
def test_a_task_without_its_argument_or_data_ends_with_one_line(tmp_path):
    ended = shell("test", "iwslt2017")
    assert ended.returncode == 2
    assert ended.stderr.startswith("bench: task iwslt2017 needs an argument")
    ended = shell("test", "text_folder", BENCH_DATA="")
    assert ended.returncode == 1
    assert "text_folder reads your own texts: give --data DIR" in ended.stdout
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        for number in range(4):
            (tmp_path / name / f"{number}.txt").write_text(f"{name} {number}")
    ended = shell("test", "text_folder", "--data", tmp_path)
    assert ended.returncode == 0, ended.stdout
