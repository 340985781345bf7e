"""Markdown of all reports: tables and lines, with no text taken for markup."""

import html
import re
from collections.abc import Collection, Sequence

from bench.toolkit.visible import LONGEST_CELL, shortened, visible

_MARKUP = re.compile(r"[\\|`*~$]|\](?=[(\[:])|\[(?=\^)|!(?=\[)")
_REFERENCES = re.compile(r"(?<=[@#])(?=\w)|(?<=:)(?=//)|(?i:(?<=www))(?=\.)")
"""Inside mentions, numbers of issues and addresses, which hosts of Markdown turn into links by themselves."""
_SPLIT = "\0"
"""Stands for an empty comment; a visible text has no such character."""


def markdown_table(header: Sequence[str], cells: Sequence[Sequence[str]], right: Collection[str] = ()) -> str:
    """A GitHub table; cells are escaped, so that their text is not taken for markup.

    Args:
        header: Names of the columns.
        cells: Texts by row and column.
        right: Names of the columns that are aligned on the right, those of numbers.

    Returns:
        The table's lines, without a line break at the end.
    """
    from tabulate import tabulate  # other formats start without it

    return tabulate(
        [[markdown_text(cell) for cell in row] for row in cells],
        headers=[markdown_text(name) for name in header],
        tablefmt="pipe",
        colalign=["right" if name in right else "left" for name in header],
        # Cells are formatted texts: "1,234" and "-" stay as they are.
        disable_numparse=True,
    )


def markdown_text(text: str) -> str:
    """A text in one line that Markdown shows as it is: no markup, no HTML, no link, no mention.

    Args:
        text: Any text.

    Returns:
        The text with entities in place of markup, and with an empty comment inside what would become a link by itself.
    """
    plain = visible(" ".join(shortened(text, LONGEST_CELL).split()))
    split = _REFERENCES.sub(_SPLIT, plain)
    escaped = _MARKUP.sub(lambda found: f"&#{ord(found[0])};", html.escape(split, quote=False))
    return escaped.replace(_SPLIT, "<!-- -->")
