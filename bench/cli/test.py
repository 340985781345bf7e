"""``bench test``: the contract suite on one plugin."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from bench import registry
from bench.contracts.errors import UsageError, did_you_mean

VARIABLE = "BENCH_PLUGIN"
"""Names the one plugin to be tested; all of them where it is not set."""


def test(
    plugin: Annotated[str, typer.Argument(help="A method's or task's name, the project's own or of any package.")],
) -> None:
    """Run the contract suite on a plugin: what every method and task must keep to."""
    known = {name for group in ("methods", "tasks") for name in registry.find(group)}
    if plugin not in known:
        raise did_you_mean("methods and tasks", plugin, known)
    if find_spec("pytest") is None:
        raise UsageError("bench test needs pytest, which is not installed; pip install pytest")
    suite = Path(__file__).with_name("contract.py")
    # A process of its own, and no settings of the folder that it is called from: the suite is the same everywhere.
    ended = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir",
            str(suite.parent), "-W", "ignore", "-k", f"{plugin} and not test_a_query", str(suite),
        ],
        env={**os.environ, VARIABLE: plugin},
        check=False,
    )  # fmt: skip
    raise typer.Exit(1 if ended.returncode else 0)
