"""Results over time: the states of a project in one file, and their changes."""

from collections.abc import Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from bench.api.formats import HistoryFormat, chosen_format
from bench.contracts.errors import did_you_mean
from bench.reports.kinds import Only
from bench.spec.list_texts import read_names
from bench.toolkit.durable import write_atomic, writing
from bench.toolkit.files import user_path

if TYPE_CHECKING:
    from bench.reports.history.changes import Change
    from bench.reports.history.findings import Findings
    from bench.reports.history.point import Point


class History:
    """The states of a project, and what changed between them; a notebook shows the changes.

    Attributes:
        points: A score and the checked costs of each row in each state, by time.
        task: Only these tasks are shown; all where none is named.
        only: "scores", "costs" or None for both.
    """

    def __init__(self, points: "Sequence[Point]", task: Sequence[str] = (), only: Only | None = None) -> None:
        self.points, self.task, self.only = tuple(points), tuple(task), only

    @cached_property
    def findings(self) -> "Findings":
        """States, lines, changes and outliers."""
        from bench.reports.history.findings import Findings

        return Findings.of(self.points, self.task, self.only)

    @property
    def changes(self) -> "list[Change]":
        """The changes, the latest first; each has both levels, their sides' records and the commits between them."""
        return self.findings.changes

    def table(self, format: HistoryFormat = "table") -> str:
        """The findings as text.

        Args:
            format: "table", "markdown" for a pull request's comment, "json", or "html" for the page.

        Returns:
            The text, with a line break at its end.

        Raises:
            UsageError: For another format, and where nothing is left to show.
        """
        from bench.reports.history.page import page
        from bench.reports.history.text import as_json, as_markdown, as_table

        formats = {"table": as_table, "markdown": as_markdown, "json": as_json, "html": page}
        return chosen_format(formats, format)(self.findings)

    def page(self, path: str | PathLike[str]) -> Path:
        """Write the page of lines: one HTML file that works offline.

        Args:
            path: File to write.

        Returns:
            The file.

        Raises:
            StoreError: If the file cannot be written.
        """
        with writing(path):
            write_atomic(user_path(path), self.table("html"))
        return user_path(path)

    def __str__(self) -> str:
        return self.table()

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return self.table("markdown")


def history(
    path: str | PathLike[str] = "history.parquet", *, task: str | Sequence[str] = (), only: Only | None = None
) -> History:
    """Read a history, and find its changes.

    Args:
        path: File of the history.
        task: Only these tasks, or further durations by their names.
        only: "scores" or "costs".

    Returns:
        The history.

    Raises:
        StoreError: If there is none, or it is damaged.
        UsageError: For another value of ``only``.

    Example:
        >>> bench.history("history.parquet", only="scores").changes  # doctest: +SKIP
    """
    from bench.reports.history.file import read

    if only is not None and only not in get_args(Only):
        raise did_you_mean("value", str(only), get_args(Only), "of only")
    return History(read(user_path(path)), read_names(task), only)


def add_to_history(
    path: str | PathLike[str] = "history.parquet",
    store: str | PathLike[str] = "runs",
    *,
    commit: str | None = None,
    date: str | None = None,
    timings: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
) -> bool:
    """Append the records of a store to a history as one state.

    Args:
        path: File of the history; it is made if there is none.
        store: Folder of records.
        commit: Commit of the state; by default that of its records.
        date: Time of the state in ISO 8601; by default that of the latest record.
        timings: JSON files with further durations: rows of ``name``, ``unit`` and ``value``, or what pytest-benchmark
            and ``make peers`` write.

    Returns:
        Whether the state is new; one that the history has already is not appended again.

    Raises:
        StoreError: If the store has no records, or the history cannot be read or written.
        UsageError: If the records are of several commits or of none and ``commit`` is missing, and for a wrong date or
            file of durations.

    Example:
        >>> bench.add_to_history("history.parquet", "runs")  # doctest: +SKIP
    """
    from bench.reports.history.file import append
    from bench.reports.history.point import points_of
    from bench.reports.history.timings import read_timings
    from bench.results.store import Store

    files = [timings] if isinstance(timings, str | PathLike) else timings
    durations = [timing for file in files for timing in read_timings(user_path(file))]
    records = list(Store(user_path(store)))
    return append(user_path(path), points_of(records, commit, date, durations))
