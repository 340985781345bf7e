"""A comparison of two methods as a terminal table, Markdown or HTML."""

from collections.abc import Sequence

from bench.reports.compare import Difference
from bench.reports.html_tables import html_table
from bench.reports.markdown import markdown_table, markdown_text
from bench.reports.terminal_tables import terminal_table

HEADER = (
    "task",
    "shots",
    "{a}",
    "{b}",
    "difference",
    "95% interval",
    "p",
    "effect",
    "detectable",
    "paired",
    "better",
    "would tell",
)
NOTE = (
    "difference: the first minus the second, in the metric's unit. p: adjusted by Holm for the rows of this table. "
    "effect: rank-biserial correlation. detectable: the smallest difference found four times in five. "
    "would tell: what this difference would need to be found four times in five. Seeds are pooled."
)


def _note(differences: Sequence[Difference]) -> str:
    """The units of the scores, and how to read the columns."""
    return f"Scores: {' or '.join(dict.fromkeys(one.metric.label for one in differences))}. {NOTE}"


def _header(a: str, b: str) -> list[str]:
    return [column.format(a=a, b=b) for column in HEADER]


def _cells(one: Difference, a: str, b: str) -> list[str]:
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
        {"a": a, "b": b, "none": "no significant difference", "too few": "too few to tell"}[one.verdict],
        one.more or "-",
    ]


def as_markdown(differences: Sequence[Difference], a: str, b: str) -> str:
    """A GitHub table."""
    made = markdown_table(_header(a, b), [_cells(one, a, b) for one in differences])
    return "\n".join([made, "", markdown_text(_note(differences))]) + "\n"


def as_table(differences: Sequence[Difference], a: str, b: str) -> str:
    """A terminal table as plain text."""
    return terminal_table(_header(a, b), [_cells(one, a, b) for one in differences], _note(differences))


def as_html(differences: Sequence[Difference], a: str, b: str) -> str:
    """A table for notebooks, a fragment of HTML."""
    return html_table(_header(a, b), [_cells(one, a, b) for one in differences], [_note(differences)])


FORMATS = {"table": as_table, "markdown": as_markdown}
