"""A table with a note below it, for a terminal, in Markdown or in HTML."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.reports.html_tables import html_table
from bench.reports.markdown import markdown_table, markdown_text
from bench.reports.terminal_tables import terminal_table


@dataclass(frozen=True)
class NotedTable:
    """A table with a note.

    Attributes:
        header: Names of the columns.
        cells: Texts by row and column.
        note: How to read it.
    """

    header: Sequence[str]
    cells: Sequence[Sequence[str]]
    note: str

    def as_text(self) -> str:
        """A terminal table in plain text."""
        return terminal_table(self.header, self.cells, self.note)

    def as_markdown(self) -> str:
        """A GitHub table."""
        return f"{markdown_table(self.header, self.cells)}\n\n{markdown_text(self.note)}\n"

    def as_html(self) -> str:
        """A table for notebooks, a fragment of HTML."""
        return html_table(self.header, self.cells, [self.note])


FORMATS = {"table": NotedTable.as_text, "markdown": NotedTable.as_markdown}
