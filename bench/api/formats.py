"""Forms of reports as text, and other choices that commands name in their help."""

from typing import Literal, TypeVar

from bench.contracts.errors import did_you_mean

Format = Literal["table", "markdown", "csv", "json", "html"]
"""Forms of a leaderboard; ``html`` is the interactive page."""
TextFormat = Literal["table", "markdown"]
"""Forms of a comparison."""
ClaimFormat = Literal["table", "markdown", "json", "html"]
"""Forms of a report on claims; ``html`` is a page."""
HistoryFormat = Literal["table", "markdown", "json", "html"]
"""Forms of a history; ``html`` is the page of lines."""
Listed = Literal["methods", "tasks", "backbones", "metrics", "suites", "claims"]
"""What ``available`` lists."""
MeasureIn = Literal["subprocess", "inline"]
"""Where costs are measured: in fresh processes, or in that of the run."""
Made = TypeVar("Made")


def chosen_format(table: dict[str, Made], name: str) -> Made:
    """The writer of a format.

    Args:
        table: Writers by the name of their format.
        name: Name of the format.

    Returns:
        Its writer.

    Raises:
        UsageError: For another format, with the closest known one.
    """
    if name not in table:
        raise did_you_mean("format", name, table)
    return table[name]
