"""``bench compare``: is one method better than another, and by how much?"""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import DEFAULT_STORE, StoreOption

if TYPE_CHECKING:
    from bench.reports.compare import Difference

HEADER = ("task", "shots", "{a}", "{b}", "difference", "95% interval", "p", "effect", "detectable", "paired", "better")


class ComparisonFormat(StrEnum):
    """What ``bench compare`` can print."""

    TABLE = "table"
    MARKDOWN = "markdown"


def compare(
    a: Annotated[str, typer.Argument(help="Method, as the leaderboard names it.")],
    b: Annotated[str, typer.Argument(help="Method that it is compared with.")],
    store: StoreOption = DEFAULT_STORE,
    task: Annotated[list[str] | None, typer.Option(help="Only this task; may be repeated.")] = None,
    shots: Annotated[str | None, typer.Option(help="Only these numbers of shots: 1,5,full.")] = None,
    tuned: Annotated[bool, typer.Option("--tuned", help="As they are when tuned, whatever was found.")] = False,
    format_: Annotated[ComparisonFormat, typer.Option("--format", help="Output format.")] = ComparisonFormat.TABLE,
) -> None:
    """Compare two methods on the same episodes: differences A - B with intervals and tests (docs/statistics.md)."""
    from bench.reports.compare import differences
    from bench.results.store import Store
    from bench.spec.suite import parse_shots

    found = Store(store)
    made = differences(list(found), a, b, found.predictions, task or (), parse_shots(shots) if shots else (), tuned)
    header = [column.format(a=a, b=b) for column in HEADER]
    cells = [_cells(one, a, b) for one in made]
    typer.echo(
        as_markdown(header, cells) if format_ is ComparisonFormat.MARKDOWN else as_table(header, cells), nl=False
    )


def _cells(one: "Difference", a: str, b: str) -> list[str]:
    paired, metric = one.paired, one.metric
    return [
        one.task,
        str(one.shots),
        metric.text(paired.a),
        metric.text(paired.b),
        metric.difference_text(paired.difference),
        f"{metric.difference_text(paired.interval.low)} to {metric.difference_text(paired.interval.high)}",
        f"{one.adjusted_p:.2g}",
        f"{paired.effect:+.2f}",
        "-" if paired.detectable is None else metric.difference_text(paired.detectable, sign=""),
        ", ".join(filter(None, [f"{paired.n_units} {paired.unit}", paired.test, one.shared])),
        {"a": a, "b": b, "none": "not told apart"}[one.verdict],
    ]


NOTE = (
    "difference: the first minus the second, in the metric's unit. p: adjusted by Holm for the rows of this table. "
    "effect: rank-biserial correlation. detectable: the smallest difference found four times in five. "
    "Seeds are pooled."
)


def as_markdown(header: list[str], cells: list[list[str]]) -> str:
    """A GitHub table."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in [header, *cells]]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:], "", NOTE]) + "\n"


def as_table(header: list[str], cells: list[list[str]]) -> str:
    """A terminal table as plain text."""
    import io

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(caption=escape(NOTE), caption_justify="left")
    for column in header:
        table.add_column(escape(column), no_wrap=True)
    for row in cells:
        table.add_row(*map(escape, row))
    text = io.StringIO()
    Console(file=text, width=200, force_terminal=False).print(table)
    return text.getvalue()
