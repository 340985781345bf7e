"""Command line. Nothing heavy is imported before a command needs it, so that ``--help`` is fast."""

import logging
import os
import sys
import warnings
from copy import copy
from typing import Annotated, Any

import typer

from bench import own_packages
from bench.cli import history, new, readout, records, weights
from bench.cli.check import check
from bench.cli.claims import claims
from bench.cli.compare import compare
from bench.cli.doctor import doctor
from bench.cli.errors import errors
from bench.cli.help import CONTEXT, Command, Group
from bench.cli.leaderboard import leaderboard
from bench.cli.list import list_
from bench.cli.open import open_
from bench.cli.output import say_error
from bench.cli.run import run
from bench.cli.show import show
from bench.cli.sweep import sweep
from bench.cli.test import run_contract
from bench.cli.usage import usage_line
from bench.cli.watch import watch
from bench.contracts.errors import BenchError, BenchWarning, UsageError
from bench.runs.signals import Interrupted
from bench.toolkit.extras import missing_extra
from bench.version import __version__

RUN, READ, TUNE, EXTEND, KEEP = "Run", "Read", "Tune", "Extend", "Keep"
"""Groups of commands, in order."""

app = typer.Typer(
    cls=Group,
    help="Compare ways of adapting a frozen pretrained model under matched budgets.",
    epilog="""
    bench run quickstart
    bench run --task digits --method faast,knn --shots 1,5
    bench open
    bench show faast
    """,
    no_args_is_help=True,
    context_settings=CONTEXT,
    pretty_exceptions_enable=False,
    # Plain help and one-line errors; rich alone would take a third of the time that --help has.
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


def _command(function: Any, group: str, name: str | None = None, examples: str = "") -> None:
    """Add a command to a group of the help."""
    app.command(name or function.__name__, cls=Command, rich_help_panel=group, epilog=examples)(function)


_command(
    run,
    RUN,
    examples="""
    bench run quickstart
    bench run quickstart --limit 20
    bench run --task digits --method faast,knn --shots 1,5 --seeds 0-4
    bench run --task digits --method faast --set faast.alpha=0.5 --budget adapt_seconds=2
    bench run my_suite.yaml --dry-run
    """,
)
_command(watch, RUN, examples="bench watch --store runs")
_command(claims, RUN, examples="bench claims faast")
_command(list_, RUN, "list", examples="bench list methods --kind language_modelling")
_command(show, RUN, examples="bench show faast")
_command(doctor, RUN, examples="bench doctor")
_command(open_, READ, "open", examples="bench open --task digits")
_command(
    leaderboard,
    READ,
    examples="""
    bench leaderboard --task digits
    bench leaderboard --format csv --out board.csv
    """,
)
_command(compare, READ, examples="bench compare faast knn --task digits")
_command(errors, READ, examples="bench errors faast --task digits --confusion")
_command(check, READ, examples="bench check --baseline baseline --only scores")
_command(
    sweep,
    TUNE,
    "sweep",
    examples="""
    bench sweep --task digits --method faast --shots 5 --trials 50
    bench sweep --task digits --method faast --vary alpha=0.5:1 --set solver=pinv
    """,
)
_command(run_contract, EXTEND, "test", examples="bench test faast")
app.add_typer(history.app, name="history", rich_help_panel=READ)
app.add_typer(readout.app, name="readout", rich_help_panel=TUNE)
app.add_typer(new.app, name="new", rich_help_panel=EXTEND)
app.add_typer(records.app, name="records", rich_help_panel=KEEP)
app.add_typer(weights.app, name="weights", rich_help_panel=KEEP)


def _program(words: list[str]) -> typer.Typer:
    """The program with the one command that the words name, or with all.

    Args:
        words: Words of the command line.

    Returns:
        The program.
    """
    # Reading the options of each command takes time. Completion, the root's help and a wrong name need all of them.
    made = copy(app)
    made.registered_commands = [each for each in app.registered_commands if [each.name] == words[:1]]
    made.registered_groups = [each for each in app.registered_groups if [each.name] == words[:1]]
    return made if made.registered_commands or made.registered_groups else app


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
    # Pydantic would look for plugins of its own in the metadata of every installed package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # Long spinning of waiting threads slows down a busy machine; no spinning slows down an idle one.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # A tasks.py in the current folder must not hide the project's.
    own_packages.put_first()
    warnings.showwarning = _show_warning
    # Where a library's log cannot be written, as on a full disk, Python would print a traceback for each of its lines.
    logging.raiseExceptions = False
    try:
        code = _program(sys.argv[1:])(prog_name="bench", standalone_mode=False)
    except Interrupted as error:
        say_error(f"ended by {error}; finished runs are recorded, the same command continues")
        sys.exit(128 + error.number)
    except UsageError as error:
        say_error(error)
        sys.exit(2)
    except typer.TyperException as error:
        say_error(usage_line(error))
        sys.exit(error.exit_code)
    except ImportError as error:
        if (advice := missing_extra(error)) is None:
            raise
        say_error(advice)
        sys.exit(2)
    except BenchError as error:
        say_error(error)
        sys.exit(1)
    if code:
        sys.exit(code)
