"""``bench test``: the contract suite on one plugin."""

import subprocess
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from bench.cli import completion
from bench.cli.options import DataOption
from bench.contracts.errors import UsageError, did_you_mean

USAGE = 2
"""Exit code of a wrong request."""


def run_contract(
    plugin: Annotated[
        str,
        typer.Argument(help="Its name, with its argument if it takes one.", autocompletion=completion.plugins),
    ],
    data: DataOption = None,
) -> None:
    """Run the contract suite on a plugin.

    A method, task, backbone or metric; for a task, a small sample of its data is enough.
    """
    from bench import registry
    from bench.results.contract_status import keep_contract_status
    from bench.toolkit.files import data_folder

    groups = [group for group in registry.FOLDERS if plugin.partition(":")[0] in registry.find(group)]
    if not groups:
        known = {name for group in registry.FOLDERS for name in registry.find(group)}
        raise did_you_mean("method, task, backbone or metric", plugin, known)
    local = data_folder(data)
    if find_spec("pytest") is None:
        raise UsageError("bench test needs pytest, which is not installed; pip install pytest")
    folder = [] if local is None else [str(local.resolve())]
    # A process for each suite: side effects of a plugin stay in it, and nothing heavy is imported here.
    commands = [[sys.executable, "-m", "bench.testing", group, plugin, *folder] for group in groups]
    codes = [subprocess.run(command, check=False).returncode for command in commands]
    for group, code in zip(groups, codes, strict=True):
        if group == "methods" and code in (0, 1):
            # Records say whether the code of their method passed.
            keep_contract_status(registry.get("methods", plugin), "failed" if code else "passed")
    raise typer.Exit(USAGE if USAGE in codes else int(any(codes)))
