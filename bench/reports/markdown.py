"""Markdown tables of all reports."""

import html
from collections.abc import Collection, Sequence

from tabulate import tabulate


def markdown_table(header: Sequence[str], cells: Sequence[Sequence[str]], right: Collection[str] = ()) -> str:
    """A GitHub table; cells are escaped, so that their text is not taken for markup.

    Args:
        header: Names of the columns.
        cells: Texts by row and column.
        right: Names of the columns that are aligned on the right, those of numbers.

    Returns:
        The table's lines, without a line break at the end.
    """
    return tabulate(
        [[_escaped(cell) for cell in row] for row in cells],
        headers=[_escaped(name) for name in header],
        tablefmt="pipe",
        colalign=["right" if name in right else "left" for name in header],
        # Cells are formatted texts: "1,234" and "-" stay as they are.
        disable_numparse=True,
    )


def _escaped(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")
