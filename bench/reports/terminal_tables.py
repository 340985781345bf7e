"""Terminal tables in plain text, for a file or a pipe."""

import io
from collections.abc import Collection, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.toolkit.visible import LONGEST_CELL, shortened, visible

WIDTH = 200
"""Characters of a line."""


def terminal_cell(text: str) -> str:
    """A text in a rich table or caption: in one line, without markup and without what steers a terminal.

    Args:
        text: Any text.

    Returns:
        The text with escapes.
    """
    return escape(visible(shortened(text, LONGEST_CELL)))


def plain_text(table: Table) -> str:
    """A rich table without colours.

    Args:
        table: The table.

    Returns:
        Its text, with a line break at its end.
    """
    text = io.StringIO()
    Console(file=text, width=WIDTH, force_terminal=False, emoji=False).print(table)
    return text.getvalue()


def terminal_table(
    header: Sequence[str], cells: Sequence[Sequence[str]], caption: str, wrapped: Collection[str] = ()
) -> str:
    """A table of texts with a caption below it; markup in them is printed as it is.

    Args:
        header: Names of the columns.
        cells: Texts by row and column.
        caption: Text below the table.
        wrapped: Columns whose cells may take several lines.

    Returns:
        The table as plain text.
    """
    table = Table(caption=terminal_cell(caption), caption_justify="left")
    for column in header:
        table.add_column(terminal_cell(column), no_wrap=column not in wrapped)
    for row in cells:
        table.add_row(*map(terminal_cell, row))
    return plain_text(table)
