"""Error analysis: the queries that a method answers wrong most often."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, overload

from pydantic import Field

from bench.api.formats import Format, chosen_format
from bench.contracts.errors import UsageError
from bench.contracts.validation import validated
from bench.spec.list_fields import ShotsList
from bench.spec.options import OwnData
from bench.spec.suite import MOST
from bench.toolkit.files import data_folder, user_path

if TYPE_CHECKING:
    from bench.reports.confusion import Confusion
    from bench.reports.query_errors import ErrorReport, QueryError


class _Selection(OwnData):
    """Numbers of shots to keep, all where none is named, and the largest number of queries."""

    shots: ShotsList = Field(default=[])
    top: int = Field(ge=1, le=MOST)


class Errors(Sequence["QueryError"]):
    """Queries that a method answers wrong most often, each with text or image, label and predictions.

    Attributes:
        report: The queries with what they are of: task, backbone, method, runs and numbers of answers.
    """

    def __init__(self, report: "ErrorReport") -> None:
        self.report = report

    @overload
    def __getitem__(self, index: int) -> "QueryError": ...
    @overload
    def __getitem__(self, index: slice) -> Sequence["QueryError"]: ...
    def __getitem__(self, index: int | slice) -> "QueryError | Sequence[QueryError]":
        return self.report.listed[index]

    def __len__(self) -> int:
        return len(self.report.listed)

    @property
    def confusion(self) -> "Confusion":
        """Answers by right and predicted class.

        Raises:
            UsageError: If all records are of earlier programs, which have no predicted classes.
        """
        from bench.reports.error_tables import confusion_of

        return confusion_of(self.report)

    def table(self, format: Format = "table", confusion: bool = False) -> str:
        """The errors as text.

        Args:
            format: "table", "markdown", "csv", "json", or "html" for a page with thumbnails of images.
            confusion: Add the confusion matrix; in "csv" it takes the place of the queries.

        Returns:
            The text, with a line break at its end.

        Raises:
            UsageError: For another format, and for a confusion matrix of records without predicted classes.
        """
        from bench.reports.error_tables import FORMATS

        return chosen_format(FORMATS, format)(self.report, confusion)

    def __repr__(self) -> str:
        return self.table()

    def _repr_html_(self) -> Any:
        return self.table("html")


def errors(
    method: str,
    *,
    task: str | None = None,
    columns: Mapping[str, str] | str | Sequence[str] = (),
    splits: str | Sequence[str] = (),
    shots: int | str | Sequence[int | str] = (),
    backbone: str | None = None,
    store: str | PathLike[str] = "runs",
    data: str | PathLike[str] | None = None,
    top: int = 20,
) -> Errors:
    """List the queries that a method answers wrong most often, over all episodes and seeds of its recorded runs.

    Args:
        method: Method by its name in the leaderboard, with its config in brackets where it has several rows.
        task: Name of the task; by default the only one of the method's runs.
        columns: Columns of your own data, as the run had them.
        splits: Splits of your own data, likewise.
        shots: Only these numbers of shots; by default all.
        backbone: Name of the backbone; by default the only one.
        store: Folder of records.
        data: Folder of local data sets, the one that the runs had; by default the task's own source.
        top: Largest number of queries.

    Returns:
        The queries with text or image, label, predictions and the numbers of wrong and of all answers.

    Raises:
        DataError: If the task's data cannot be read.
        StoreError: If the store has no records, or none of the runs has predictions.
        UsageError: For an unknown name, several tasks, backbones or rows to choose from, columns or splits without a
            task, a task without classes, and data that are not those of the runs.

    Example:
        >>> bench.errors("faast", task="digits", shots=5)  # doctest: +SKIP
    """
    only = validated(_Selection, {"columns": columns, "splits": splits, "shots": shots, "top": top}, "errors")
    if task is not None:
        task = only.full_name(task)
    elif only.columns or only.splits:
        raise UsageError("columns and splits are of a task: name it too, such as --task text_folder")

    from bench.reports.query_errors import Choice, error_report
    from bench.results.store import Store

    records = Store(user_path(store))
    choice = Choice(method, task, only.shots, backbone)
    return Errors(error_report(list(records), records.predictions, choice, data_folder(data), only.top))
