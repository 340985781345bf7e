"""An optional dependency that is missing is named with the extra that installs it."""

import sys
import tomllib

import pytest

from bench import registry
from bench.contracts import UsageError
from bench.toolkit.extras import EXTRAS, import_extra, missing_extra, require_extra
from tests.helpers.places import ROOT


@pytest.fixture
def without(monkeypatch):
    """Makes a package not installed, and forgets modules that have imported it."""

    def hide(package, *users):
        for user in users:
            monkeypatch.delitem(sys.modules, user, raising=False)
        monkeypatch.setitem(sys.modules, package, None)

    return hide


@pytest.mark.parametrize(
    ("group", "name", "package", "module"),
    [("methods", "lora", "peft", "methods.lora"), ("backbones", "open_clip", "open_clip", "bench.backbones.open_clip")],
)
def test_a_plugin_names_its_extra(without, group, name, package, module):
    without(package, module)
    with pytest.raises(UsageError, match=rf"'{name}' .*the package {package} .*pip install 'faast-bench\[{package}\]'"):
        registry.get(group, name).load()


def test_a_command_names_its_extra_in_one_line(without, in_process):
    without("optuna", "sweeps.space", "sweeps.study", "sweeps.definition", "sweeps.trials", "sweeps")
    code, _, err = in_process("sweep", "--task", "digits", "--method", "knn")
    assert (code, err) == (2, "bench: the package optuna is not installed; pip install 'faast-bench[sweeps]'\n")


def test_an_import_inside_a_function_names_its_extra(without, monkeypatch):
    without("faiss")
    monkeypatch.setattr("bench.toolkit.extras.find_spec", lambda module: None)
    with pytest.raises(UsageError, match=r"faast-bench\[faiss\]"):
        import_extra("faiss")
    with pytest.raises(UsageError, match=r"faast-bench\[deepspeed\]"):
        require_extra("deepspeed")
    assert missing_extra(ModuleNotFoundError(name="not_ours")) is None


def test_every_extra_is_declared_and_in_all_but_one_that_is_built_where_it_is_installed():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    declared = set(EXTRAS.values())
    assert declared < extras.keys()
    assert set(extras["all"][0].removeprefix("faast-bench[").removesuffix("]").split(",")) == declared - {"deepspeed"}
    assert "faast-bench[all]" in extras["dev"]
