"""Command line. Nothing heavy is imported before a command needs it, so that ``--help`` is fast."""

import logging
import os
import sys
import warnings
from typing import Any

import typer

from bench import own_packages
from bench.cli import history, new, readout, records, weights
from bench.cli.check import check
from bench.cli.claims import claims
from bench.cli.compare import compare
from bench.cli.doctor import doctor
from bench.cli.errors import errors
from bench.cli.leaderboard import leaderboard
from bench.cli.list import list_
from bench.cli.output import say_error
from bench.cli.run import run
from bench.cli.show import show
from bench.cli.sweep import sweep
from bench.cli.test import run_contract
from bench.contracts.errors import BenchError, BenchWarning, UsageError
from bench.runs.signals import Interrupted
from bench.toolkit.extras import missing_extra

app = typer.Typer(
    help="Compare ways of adapting a frozen pretrained model under matched budgets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help and one-line errors; rich alone would take a third of the time that --help has.
    rich_markup_mode=None,
)


app.command("list")(list_)
app.command()(show)
app.command()(run)
app.command()(leaderboard)
app.command()(compare)
app.command()(errors)
app.command()(check)
app.command()(claims)
app.command("sweep")(sweep)
app.command()(doctor)
app.command("test")(run_contract)
app.add_typer(new.app, name="new")
app.add_typer(history.app, name="history")
app.add_typer(records.app, name="records")
app.add_typer(readout.app, name="readout")
app.add_typer(weights.app, name="weights")


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    """Warnings of this project in one line, those of libraries as ever."""
    if issubclass(category, BenchWarning):
        say_error(message)
    else:
        _show_warning_of_library(message, category, *place, **more)


_show_warning_of_library = warnings.showwarning


def main() -> None:
    """Entry point: errors of the user in one line; exit code 2 for usage and 1 for failures."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Long spinning of waiting threads slows down a busy machine; no spinning slows down an idle one.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # A tasks.py in the current folder must not hide the project's.
    own_packages.put_first()
    warnings.showwarning = _show_warning
    # Where a library's log cannot be written, as on a full disk, Python would print a traceback for each of its lines.
    logging.raiseExceptions = False
    try:
        app()
    except Interrupted as error:
        say_error(f"ended by {error}; finished runs are recorded, the same command continues")
        sys.exit(128 + error.number)
    except UsageError as error:
        say_error(error)
        sys.exit(2)
    except ImportError as error:
        if (advice := missing_extra(error)) is None:
            raise
        say_error(advice)
        sys.exit(2)
    except BenchError as error:
        say_error(error)
        sys.exit(1)
