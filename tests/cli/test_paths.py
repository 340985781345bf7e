"""Paths on the command line, and files in a store that are no records: the same in every command."""

import warnings

import pytest

from bench.results.store import Store
from bench.spec.options import RunOptions
from bench.spec.suite import load_suite
from tests.helpers.stores import fill

COMMANDS = {
    "leaderboard": ["leaderboard", "--store", "~/runs", "--format", "markdown", "--out", "~/out"],
    "compare": ["compare", "closed", "probe", "--store", "~/runs"],
    "check": ["check", "--baseline", "~/runs", "--store", "~/runs", "--junit", "~/out"],
    "update": ["check", "--baseline", "~/out", "--store", "~/runs", "--update"],
    "verify": ["records", "verify", "--store", "~/runs"],
    "prune": ["records", "prune", "--store", "~/runs"],
    "export": ["records", "export", "--store", "~/runs", "--out", "~/out.csv"],
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder with a store, and an empty working folder."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BENCH_STORE", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    fill(tmp_path / "home" / "runs", seeds=(0, 1), tasks="t")
    return tmp_path / "home"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_home_folder_is_meant_where_no_shell_has_replaced_it(home, in_process, name, tmp_path):
    code, _, err = in_process(*COMMANDS[name])
    assert (code, err) == (0, "")
    assert list((tmp_path / "work").iterdir()) == []
    assert any("~/out" in word for word in COMMANDS[name]) == bool(list(home.glob("out*")))


def test_the_home_folder_is_meant_in_suites_and_configs(home):
    (home / "suite.yaml").write_text("name: mine\nblocks: [{task: digits, methods: [knn]}]\n")
    assert load_suite("~/suite.yaml").name == "mine"
    assert RunOptions.model_validate({"config": "~/best.yaml"}).config == [home / "best.yaml"]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "verify"])
def test_a_damaged_record_is_reported_once_by_every_command(home, in_process, name):
    path = Store(home / "runs").paths()[0]
    path.write_text("{")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, _, err = in_process(*COMMANDS[name])
    assert code == 0
    (line,) = err.splitlines()
    assert line.startswith(f"bench: passed over: {path} is not a readable record")
    assert path.read_text() == "{"
