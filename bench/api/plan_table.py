"""Plan: the runs of a call with their status, before execution."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, overload

from bench.toolkit.counted import counted

if TYPE_CHECKING:
    from bench.runs.plan import PlanEntry

HEADER = ("task", "backbone", "method", "shots", "seed", "budget", "status", "reason")


class Plan(Sequence["PlanEntry"]):
    """Runs with their status; printed as a table, and shown as one in a notebook.

    Attributes:
        entries: The runs in the order in which they are executed.
        problems: Tasks and backbones that cannot be loaded, one line each; their runs are not among the entries.
        n_tuned: Number of runs that are tuned first. Their entries are those of the untuned runs: a tuned config has an
            id of its own.
    """

    def __init__(self, entries: Iterable["PlanEntry"], problems: Iterable[str] = (), n_tuned: int = 0) -> None:
        self.entries = tuple(entries)
        self.problems = tuple(problems)
        self.n_tuned = n_tuned

    @overload
    def __getitem__(self, index: int) -> "PlanEntry": ...
    @overload
    def __getitem__(self, index: slice) -> Sequence["PlanEntry"]: ...
    def __getitem__(self, index: int | slice) -> "PlanEntry | Sequence[PlanEntry]":
        return self.entries[index]

    def __len__(self) -> int:
        return len(self.entries)

    def summary(self) -> str:
        """Number of runs by status, of those that are tuned first, and the seconds expected, in one line."""
        counts = Counter(entry.status for entry in self.entries)
        parts = [f"{number} {status}" for status, number in sorted(counts.items())]
        text = f"{counted(len(self), 'run')}: {', '.join(parts) or 'none'}"
        if self.n_tuned:
            text += f"; {self.n_tuned} are tuned first: trials are not counted, and status is that of the untuned run"
        known = [entry.expected_seconds for entry in self.entries if entry.expected_seconds is not None]
        if known:
            text += f"; {len(known)} of those to run take {sum(known):.3g} s by recorded costs"
            text += ", starts and encoding not counted"
        return text

    def _cells(self) -> list[list[str]]:
        from bench.results.run_texts import budget_text, method_text, task_text

        return [
            [
                task_text(entry.spec), entry.spec.backbone, method_text(entry.spec), str(entry.spec.shots),
                str(entry.spec.seed), budget_text(entry.spec), entry.status, entry.reason,
            ]
            for entry in self.entries
        ]  # fmt: skip

    def __str__(self) -> str:
        rows = [list(HEADER), *self._cells()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        return "\n".join([*lines, self.summary()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from bench.reports.html_tables import html_table

        return html_table(HEADER, self._cells(), [self.summary(), *self.problems])
