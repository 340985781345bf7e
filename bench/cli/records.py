"""``bench records``: verify, prune and export a store."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import DEFAULT_STORE, StoreOption

app = typer.Typer(help="Verify, prune or export records.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def verify(store: StoreOption = DEFAULT_STORE) -> None:
    """Check that every record is whole and follows from its predictions; exit code 1 if not."""
    from bench.results.store import Store
    from bench.results.verify import problems

    found = list(problems(Store(store)))
    for problem in found:
        typer.echo(problem)
    typer.echo(f"{len(Store(store).paths())} records, {len(found) or 'no'} problem{'' if len(found) == 1 else 's'}")
    if found:
        raise typer.Exit(1)


@app.command()
def prune(
    store: StoreOption = DEFAULT_STORE,
    superseded: Annotated[
        bool, typer.Option("--superseded", help="Also records of which there is a later version.")
    ] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Also records of runs that failed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and keep it.")] = False,
) -> None:
    """Delete files that no record names, and the chosen records. Not while runs are under way."""
    from bench.contracts.errors import StoreError
    from bench.results.prune import superfluous
    from bench.results.store import Store

    # All is looked up before anything goes: what is deleted must not change what else is.
    found = list(superfluous(Store(store), superseded, failed))
    for path, reason in found:
        typer.echo(f"{path}: {reason}")
        if not dry_run:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise StoreError(f"{path} cannot be deleted: {error.strerror}") from error
    typer.echo(f"{len(found)} files {'would be deleted' if dry_run else 'deleted'}")


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="File to write; .parquet or .csv.")],
    store: StoreOption = DEFAULT_STORE,
    queries: Annotated[bool, typer.Option("--queries", help="A row for each query instead of each run.")] = False,
) -> None:
    """Write records as one table."""
    from bench.results.export import queries as by_query
    from bench.results.export import runs, write
    from bench.results.store import Store

    table = (by_query if queries else runs)(Store(store))
    write(table, out)
    typer.echo(f"wrote {table.num_rows} rows to {out}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a record, as docs/record.schema.json has it."""
    from bench.results.record import Record

    typer.echo(json.dumps(Record.model_json_schema(), indent=1))
