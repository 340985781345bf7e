"""The command line: in this process, in one of its own, and what it says when it fails."""

import os
import re
import sys
from functools import cache

import pytest
import typer

from bench.cli.app import main
from tests.helpers import brief_costs, preloaded

STRIPES = ["run", "--measure-in", "inline", "--task", "stripes", "--backbone", "pixels", "--method", "faast"]
"""Words of a run of FAAST on the outside package's task."""
COMMAND = cache(typer.main.get_command)
"""What Typer makes of all functions in each call: a process makes one call, a process of tests hundreds."""
PROGRESS = re.compile(r"\[\d+/\d+\] .+|\d+ runs? (is|are) recorded already|preparing: .+|next: .+")


def without_progress(err):
    """Lines of standard error that are not of the course of runs, nor of the next command."""
    return [line for line in err.splitlines() if not PROGRESS.fullmatch(line)]


def one_line(answer, code):
    """The one line of an answer that went wrong, beside those of finished runs."""
    found, _, err = answer
    assert found == code, err
    (line,) = without_progress(err)
    assert line.startswith("bench: "), err
    return line.strip()


def shell(*words, **environment):
    """The command in a process of its own, which finds the libraries imported, with costs as in ``brief_costs``."""
    return preloaded.run("bench", *words, env={**os.environ, brief_costs.VARIABLE: "once", **environment})


def bench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """Exit code, output and errors of ``bench ARGUMENTS`` in this process."""
    monkeypatch.setattr(typer.main, "get_command", COMMAND)
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
    try:
        main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err
