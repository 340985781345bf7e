"""A comparison of two methods as a table."""

from collections.abc import Sequence

from bench.reports.compare import Difference
from bench.reports.noted_table import NotedTable

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


def difference_table(differences: Sequence[Difference], a: str, b: str) -> NotedTable:
    """A line for each difference.

    Args:
        differences: The comparison.
        a: Name of the first method.
        b: Name of the second method.

    Returns:
        The table, with the units of the scores and how to read the columns.
    """
    return NotedTable(
        [column.format(a=a, b=b) for column in HEADER],
        [_cells(one, a, b) for one in differences],
        f"Scores: {' or '.join(dict.fromkeys(one.metric.label for one in differences))}. {NOTE}",
    )


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
        "-" if one.detectable is None else metric.difference_text(one.detectable, sign=""),
        ", ".join(filter(None, [f"{paired.n_units} {paired.unit}", paired.test, one.shared])),
        {"a": a, "b": b, "none": "no significant difference", "too few": "too few to tell"}[one.verdict],
        one.more or "-",
    ]
