"""``bench records``: verify, prune, import and export a store."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bench import api
from bench.cli.help import Command, Group
from bench.cli.options import DEFAULT_STORE, StoreOption, option
from bench.cli.output import say
from bench.toolkit.counted import counted

app = typer.Typer(
    cls=Group, help="Verify, prune, import or export records.", no_args_is_help=True, rich_markup_mode=None
)


@app.command(cls=Command, epilog="bench records verify --store runs")
def verify(store: StoreOption = DEFAULT_STORE) -> None:
    """Check that every record agrees with its predictions.

    Exit code 1 for a record that is damaged or was changed.
    """
    problems = api.verify_records(store)
    for problem in problems:
        say(problem)
    say(f"{counted(problems.n_records, 'record')}, {counted(len(problems), 'problem') if problems else 'no problems'}")
    if problems.n_without_digest:
        say(f"{problems.n_without_digest} of earlier programs have no digest; only contradictions are found in them")
    if problems:
        raise typer.Exit(1)


@app.command(cls=Command, epilog="bench records prune --superseded --dry-run")
def prune(
    store: StoreOption = DEFAULT_STORE,
    superseded: Annotated[bool, option("--superseded", help="Also records with a later version.")] = False,
    failed: Annotated[bool, option("--failed", help="Also records of failed runs.")] = False,
    dry_run: Annotated[bool, option("--dry-run", help="List the files without deleting them.")] = False,
) -> None:
    """Delete files that no record names, and chosen records.

    Not while runs are in progress.
    """
    found = api.prune_records(store, superseded=superseded, failed=failed, dry_run=dry_run)
    for file in found:
        say(f"{file.path}: {file.reason}")
    say(f"{counted(len(found), 'file')} {'would be deleted' if dry_run else 'deleted'}")


@app.command("import", cls=Command, epilog="bench records import node1/runs node2/runs --store runs")
def import_(
    folders: Annotated[list[Path], typer.Argument(help="Folders of records, for example of other machines.")],
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Copy verified records of other stores.

    Exit code 1 if one did not pass verification.
    """
    imported = api.import_records(*folders, store=store, notify=lambda line: say(line, err=True))
    for problem in imported.refused:
        say(problem)
    say(str(imported))
    if imported.refused:
        raise typer.Exit(1)


@app.command(cls=Command, epilog="bench records export --out records.parquet")
def export(
    out: Annotated[Path, option("--out", "-o", metavar="FILE", help="File to write: .parquet or .csv.")],
    store: StoreOption = DEFAULT_STORE,
    queries: Annotated[bool, option("--queries", help="A row for each query instead of each run.")] = False,
) -> None:
    """Write records as one table."""
    number = api.export_records(out, store, queries=queries)
    say(f"wrote {counted(number, 'row')} to {out}")


@app.command(cls=Command, epilog="bench records schema")
def schema() -> None:
    """Print the JSON Schema of a record."""
    typer.echo(json.dumps(api.record_schema(), indent=1))
