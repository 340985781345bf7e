"""HTML tables for notebooks."""

from collections.abc import Sequence
from html import escape

from bench.toolkit.visible import visible


def html_table(header: Sequence[str], cells: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> str:
    """A plain HTML table with notes below it; all texts are escaped.

    Args:
        header: Names of the columns.
        cells: Texts by row and column.
        notes: Paragraphs below the table.

    Returns:
        A fragment of HTML.
    """
    head = "".join(f"<th>{escape(visible(name))}</th>" for name in header)
    rows = "".join("<tr>" + "".join(f"<td>{escape(visible(cell))}</td>" for cell in row) + "</tr>" for row in cells)
    below = "".join(f"<p><small>{escape(visible(note))}</small></p>" for note in notes)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{below}"
