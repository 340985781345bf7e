"""Results of runs: records, leaderboard rows, tables, a page and comparisons."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, get_args, overload

from bench.api.comparison import Comparison
from bench.api.formats import Format, TextFormat, chosen_format
from bench.api.selection import Selection
from bench.contracts.errors import did_you_mean
from bench.contracts.validation import validated
from bench.toolkit.collection import without_collection
from bench.toolkit.durable import write_atomic, writing
from bench.toolkit.files import user_path

if TYPE_CHECKING:
    import pandas as pd

    from bench.reports.claims import ClaimReport
    from bench.reports.known_boards import KnownBoards
    from bench.reports.row import Row
    from bench.reports.sequences import SequenceRow
    from bench.results.predictions import QueryPredictions
    from bench.results.record import Record
    from bench.results.row_sample import Find
    from bench.spec.claim import Claim


class Results(Sequence["Record"]):
    """Records of runs, with reports on them; a notebook shows the leaderboard.

    Attributes:
        records: The records, one per run.
        store: Folder of their store.
        problems: Problems without a record, one line each.
    """

    def __init__(
        self,
        records: Iterable["Record"],
        store: str | PathLike[str],
        problems: Iterable[str] = (),
        predictions: "Mapping[str, QueryPredictions | None] | None" = None,
    ) -> None:
        self.records = tuple(records)
        self._in_memory = predictions or {}
        self.store = user_path(store)
        self.problems = tuple(problems)

    @overload
    def __getitem__(self, index: int) -> "Record": ...
    @overload
    def __getitem__(self, index: slice) -> Sequence["Record"]: ...
    def __getitem__(self, index: int | slice) -> "Record | Sequence[Record]":
        return self.records[index]

    def __len__(self) -> int:
        return len(self.records)

    @property
    def failed(self) -> list["Record"]:
        """Records of failed runs, with the ``reason`` in each."""
        return [record for record in self.records if record.status == "failed"]

    @property
    def measured(self) -> list["Record"]:
        """Records of runs that were measured, those over their budget included."""
        return [record for record in self.records if record.status in {"ok", "over_budget"}]

    def of_task(self, task: str | Sequence[str]) -> "Results":
        """The results on some tasks.

        Args:
            task: Names of tasks; all where none is named.

        Returns:
            Their records.

        Raises:
            UsageError: For a task without a record, with the closest known one.
        """
        from bench.results.selection import of_tasks

        names = validated(Selection, {"task": task}, "results").task
        return Results(of_tasks(self.records, names), self.store, self.problems, self._in_memory)

    def rows(self, break_even: str | None = None) -> list["Row"]:
        """Leaderboard rows, seeds pooled, the best score first.

        Args:
            break_even: Method; rows then have the number of queries above which each takes less time than this one.

        Returns:
            One row per task, backbone, method, config and number of shots.

        Raises:
            UsageError: If ``break_even`` names a method without a row.
        """
        from bench.reports.rows import against

        made = self._board
        if break_even is None:
            return list(made)
        if break_even not in (known := {row.method for row in made}):
            raise did_you_mean("method", break_even, known, "in the store")
        return against(made, break_even)

    @cached_property
    def _board(self) -> "list[Row]":
        """The rows; a page, a site and a tracker need the same ones several times."""
        from bench.reports.rows import rows

        with without_collection():
            return rows(self.records, self.predictions(), self._known())

    def _known(self) -> "KnownBoards | None":
        """What the index of a large store knows of its boards; None for others, and for predictions in memory."""
        from bench.reports.known_boards import KnownBoards
        from bench.results.index import LEAST_RECORDS

        large = len(self.records) >= LEAST_RECORDS and not self._in_memory
        return KnownBoards(self.store) if large else None

    def frame(self, break_even: str | None = None) -> "pd.DataFrame":
        """Leaderboard rows as a pandas data frame.

        Args:
            break_even: As for ``rows``.

        Returns:
            One line per row; the columns are the fields of a row.

        Raises:
            UsageError: As for ``rows``.
        """
        import pandas as pd

        from bench.reports.row import Row

        lines = [row.model_dump() for row in self.rows(break_even)]
        return pd.DataFrame(lines, columns=list(Row.model_fields))

    def table(
        self,
        format: Format = "table",
        break_even: str | None = None,
        claims: str | PathLike[str] | None = None,
        history: str | PathLike[str] | None = None,
        highlight: str | Sequence[str] = (),
    ) -> str:
        """The leaderboard as text.

        Args:
            format: "table", "markdown", "csv", "json", or "html" for the interactive page.
            break_even: As for ``rows``.
            claims: Name or file of claims for a tab of the page, as for ``bench.claims``; nothing is run.
            history: File of a history for a tab of the page, as for ``bench.history``.
            highlight: Methods that the page's charts never show in grey, beside ``faast``.

        Returns:
            The text, with a line break at its end.

        Raises:
            StoreError: If the history cannot be read.
            UsageError: For another format, for parts of the page in another format, for a method to highlight that has
                no row, and as for ``rows``.
        """
        from bench.api.leaderboard import as_text

        return as_text(self, format, break_even, claims, history, highlight)

    def answer(self) -> str:
        """Which method is best, how sure that is and what it costs, as far as paired tests say so.

        Returns:
            A line for each number of shots; empty without scores of two methods, and for quick looks.
        """
        from bench.reports.answers import answer
        from bench.reports.matrix import matrices
        from bench.results.row_sample import remembered

        rows = [row for row in self.rows() if not row.limit]
        records, find = {record.id: record for record in self.records}, remembered(self.predictions())
        contested = [matrix for matrix in matrices(rows, records) if matrix.n_contested]
        return "\n".join(" ".join(answer(matrix, records, find)) for matrix in contested)

    def sequences(self, format: TextFormat = "table") -> str:
        """Forgetting, plasticity and sample efficiency of runs on sequences of tasks, as text.

        Args:
            format: "table" or "markdown".

        Returns:
            A table for each sequence; empty without one.

        Raises:
            UsageError: For another format.
        """
        rows = self.sequence_rows()
        if not rows and format in get_args(TextFormat):
            return ""
        from bench.reports.sequence_tables import FORMATS

        return chosen_format(FORMATS, format)(rows)

    def sequence_rows(self) -> list["SequenceRow"]:
        """Forgetting, plasticity and sample efficiency by sequence, method, shots and task, seeds pooled.

        Returns:
            The rows; none without a run on a sequence of tasks.
        """
        if not any(record.stages for record in self.records):  # most often, and found without that module
            return []
        from bench.reports.sequences import sequence_rows

        return sequence_rows(self.records)

    def page(
        self,
        path: str | PathLike[str],
        break_even: str | None = None,
        claims: str | PathLike[str] | None = None,
        history: str | PathLike[str] | None = None,
        highlight: str | Sequence[str] = (),
    ) -> Path:
        """Write the leaderboard as one HTML page that works offline.

        Args:
            path: File to write.
            break_even: As for ``rows``.
            claims: As for ``table``.
            history: As for ``table``.
            highlight: As for ``table``.

        Returns:
            The file.

        Raises:
            StoreError: If the file cannot be written, or the history cannot be read.
            UsageError: As for ``table``.
        """
        text = self.table("html", break_even, claims, history, highlight)
        with writing(path):
            write_atomic(user_path(path), text)
        return user_path(path)

    def site(
        self,
        folder: str | PathLike[str],
        break_even: str | None = None,
        claims: str | PathLike[str] | None = None,
        address: str = "",
        history: str | PathLike[str] | None = None,
        highlight: str | Sequence[str] = (),
    ) -> list[Path]:
        """Write the leaderboard as a static site: an index, a page per task and method, a feed of changes.

        Args:
            folder: Folder to write; it is made, and other files in it stay. Its pages link to its ``history.html``, a
                page of ``bench history``, if it is there already.
            break_even: As for ``rows``.
            claims: As for ``table``.
            address: Where the site will be, for the links of its feed, such as ``https://example.org/board/``.
            history: As for ``table``.
            highlight: As for ``table``.

        Returns:
            The files, the index first.

        Raises:
            StoreError: If a file cannot be written, or the history cannot be read.
            UsageError: As for ``table``.
        """
        from bench.api.leaderboard import as_text, write_site

        board = as_text(self, "html", break_even, claims, history, highlight)
        return write_site(self, user_path(folder), board, break_even, address)

    def compare(
        self,
        a: str,
        b: str,
        *,
        task: str | Sequence[str] = (),
        shots: int | str | Sequence[int | str] = (),
        tuned: bool = False,
    ) -> Comparison:
        """Compare two methods wherever both have scores on the same episodes.

        Args:
            a: Method by its name in the leaderboard, with its config in brackets where it has several rows.
            b: Method to compare it with.
            task: Only these tasks.
            shots: Only these numbers of shots.
            tuned: Compare the tuned methods.

        Returns:
            Differences ``a - b`` with 95% intervals and tests, adjusted by Holm.

        Raises:
            UsageError: For an unknown name, a name that means several rows, and methods that share no episodes.
        """
        from bench.reports.compare import differences

        only = validated(Selection, {"task": task, "shots": shots}, "compare")
        found = differences(
            self.records, a, b, self.predictions(), only.task, only.shots, tuned, self._known()
        )  # fmt: skip
        return Comparison(a, b, found)

    def judge(self, claims: "Sequence[Claim]") -> "list[ClaimReport]":
        """Judge claims on these results; nothing is run.

        Args:
            claims: The claims.

        Returns:
            A report for each claim; what is missing among the results leaves cells undecided.

        Raises:
            UsageError: For a wrong field or combination in a claim.
        """
        from bench.reports.claim_cells import FoundRecords
        from bench.reports.claims import judged
        from bench.results.ratio_files import RatioFiles

        return judged(claims, FoundRecords(self.records), self.predictions(), RatioFiles(self.store).read)

    def __repr__(self) -> str:
        return self.table() if self.records else f"no results in {self.store}"

    def _repr_html_(self) -> str:
        from bench.reports.tables import as_html

        return as_html(self.rows())

    def predictions(self) -> "Find":
        """A function that looks up the predictions of one of the records; it returns None where none were kept."""
        from bench.results.store import Store

        kept = Store(self.store).predictions
        return lambda record: self._in_memory[record.id] if record.id in self._in_memory else kept(record)
