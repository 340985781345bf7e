"""The command in a folder of its own, without the settings of the person who runs the tests."""

import pytest


@pytest.fixture
def clean(tmp_path, monkeypatch):
    """A folder to work in, without the settings of the person who runs the tests."""
    for name in ("BENCH_DATA", "BENCH_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bench(clean, in_process):
    """``bench ...`` in this process; answers exit code, output and standard error."""

    return in_process
