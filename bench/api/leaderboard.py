"""The leaderboard of results: as text in every format, and as a static site."""

from collections.abc import Callable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bench.api.formats import Format, chosen_format
from bench.api.selection import Selection
from bench.contracts.errors import StoreError, UsageError, did_you_mean
from bench.contracts.validation import validated
from bench.toolkit.durable import write_atomic
from bench.toolkit.files import user_path

if TYPE_CHECKING:
    from bench.reports.claims import ClaimReport
    from bench.reports.row import Row
    from bench.results.record import Record
    from bench.results.row_sample import Find
    from bench.spec.claim import Claim


class Board(Protocol):
    """Records with what a leaderboard shows of them, as ``Results`` has it.

    Attributes:
        records: The records.
    """

    records: "tuple[Record, ...]"

    def rows(self, break_even: str | None = None) -> "list[Row]":
        """Leaderboard rows; see ``Results.rows``."""

    def predictions(self) -> "Find":
        """A function that looks up predictions; see ``Results.predictions``."""

    def judge(self, claims: "Sequence[Claim]") -> "list[ClaimReport]":
        """Verdicts on claims; see ``Results.judge``."""


def as_text(
    results: Board,
    format: Format,
    break_even: str | None,
    claims: str | PathLike[str] | None,
    history: str | PathLike[str] | None,
    highlight: str | Sequence[str],
) -> str:
    """The leaderboard as text.

    Args:
        results: The results.
        format: As for ``Results.table``.
        break_even: As for ``Results.rows``.
        claims: As for ``Results.table``.
        history: As for ``Results.table``.
        highlight: As for ``Results.table``.

    Returns:
        The text, with a line break at its end.

    Raises:
        StoreError: If the history cannot be read.
        UsageError: As for ``Results.table``.
    """
    from bench.reports.tables import FORMATS

    methods = validated(Selection, {"method": highlight}, "leaderboard").method
    for part, given in (("claims", claims), ("a history", history), ("highlighted methods", methods or None)):
        if given is not None and format != "html":
            raise UsageError(f"a leaderboard has {part} on its page alone: use --format html")

    def as_page(rows: "Sequence[Row]") -> str:
        from bench.reports.page import page  # plotly and jinja2, which no other format needs

        _require_methods(methods, rows)
        return page(
            rows, results.records, results.predictions(),
            claims="" if claims is None else _claims_section(results, claims),
            history="" if history is None else _history_section(history),
            highlight=methods,
        )  # fmt: skip

    formats: dict[str, Callable[[Sequence[Row]], str]] = {**FORMATS, "html": as_page}
    return chosen_format(formats, format)(results.rows(break_even))


def _require_methods(names: Sequence[str], rows: "Sequence[Row]") -> None:
    """Refuse names that no row has, alone or with settings."""
    from bench.reports.overview import names_of

    known = {name for row in rows for name in names_of(row)}
    for name in names:
        if name not in known:
            raise did_you_mean("method", name, known, "in the store")


def _claims_section(results: Board, claims: str | PathLike[str]) -> str:
    from bench.reports.claim_tables import section
    from bench.spec.claim import load_claims

    return section(results.judge(load_claims(fspath(claims))))


def _history_section(path: str | PathLike[str]) -> str:
    from bench.reports.history.file import read
    from bench.reports.history.findings import Findings
    from bench.reports.history.page import section

    return section(Findings.of(read(user_path(path))))


def write_site(results: Board, folder: Path, board: str, break_even: str | None, address: str) -> list[Path]:
    """Write the leaderboard as a static site.

    Args:
        results: The results.
        folder: Folder to write.
        board: The interactive page.
        break_even: As for ``Results.rows``.
        address: As for ``Results.site``.

    Returns:
        The files, the index first.

    Raises:
        StoreError: If a file cannot be written.
    """
    from bench.reports.site import HISTORY, site

    start = f"{address.rstrip('/')}/" if address else ""
    files = site(results.rows(break_even), results.records, board, start, has_history=(folder / HISTORY).is_file())
    try:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / name, text)
    except OSError as error:
        raise StoreError(f"the site cannot be written to {folder}: {error.strerror}") from error
    return [folder / name for name in files]
