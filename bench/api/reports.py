"""Records of a store: loaded, compared, and checked against a baseline."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from bench.api.comparison import Comparison
from bench.api.formats import TextFormat, chosen_format
from bench.api.results import Results
from bench.contracts.errors import UsageError, did_you_mean
from bench.reports.kinds import Only
from bench.toolkit.collection import without_collection
from bench.toolkit.files import data_folder, user_path
from bench.toolkit.trust import trusting

if TYPE_CHECKING:
    from bench.reports.check import Check
    from bench.runs.cost_comparison import CostComparison


def load(store: str | PathLike[str] = "runs") -> Results:
    """Read the records of a store.

    Args:
        store: Folder of records.

    Returns:
        All records that can be read; a ``BenchWarning`` names each file that cannot.

    Raises:
        StoreError: If there is none.

    Example:
        >>> bench.load("runs").of_task("digits").page("board.html")  # doctest: +SKIP
    """
    from bench.results.store import Store

    return Results(Store(user_path(store)), store)


def compare(
    a: str,
    b: str,
    *,
    store: str | PathLike[str] = "runs",
    task: str | Sequence[str] = (),
    shots: int | str | Sequence[int | str] = (),
    tuned: bool = False,
    costs: bool = False,
    accelerator: str = "auto",
    data: str | PathLike[str] | None = None,
    trust: bool = False,
) -> Comparison:
    """Compare two methods of a store wherever both have scores on the same episodes.

    Args:
        a: Method by its name in the leaderboard, with its config in brackets where it has several rows.
        b: Method to compare it with.
        store: Folder of records.
        task: Only these tasks.
        shots: Only these numbers of shots.
        tuned: Compare the tuned methods.
        costs: Measure the costs of both anew, in turn: A B A B, in fresh processes.
        accelerator: Lightning accelerator to measure costs on.
        data: Folder of local data sets to measure costs on; by default each task's own source.
        trust: Load weights from files that run code when they are loaded, such as TorchScript archives.

    Returns:
        Differences ``a - b`` with 95% intervals and tests, adjusted by Holm; with ``costs`` also ratios of costs.

    Raises:
        StoreError: If the store has no records.
        UsageError: For an unknown name, a name that means several rows, and methods that share no episodes; with
            ``costs`` for a missing device and a method that exceeds its budget.

    Example:
        >>> bench.compare("faast", "knn", task="digits", shots=5)  # doctest: +SKIP
    """
    from bench.results.store import Store

    with without_collection():
        found = Results(Store(user_path(store)), store).compare(a, b, task=task, shots=shots, tuned=tuned)
    if not costs:
        return found
    with trusting(trust):
        return Comparison(a, b, found, _costs(found, user_path(store), accelerator, data_folder(data)))


def _costs(found: Comparison, store: Path, accelerator: str, data: Path | None) -> "list[CostComparison]":
    """Costs of both methods of each difference, measured in turn."""
    from bench.engine.trainer import DeviceOptions, quiet_lightning
    from bench.results.store import Store
    from bench.runs.cost_comparison import compare_costs
    from bench.runs.progress import RichReporter, error_console
    from bench.runs.report import Report
    from bench.runs.signals import interrupts

    quiet_lightning()
    devices = DeviceOptions(accelerator=accelerator)
    pairs = [(one.shots, *one.records) for one in found]
    with RichReporter(error_console()) as reporter, interrupts():
        return compare_costs(pairs, devices, data, Report(Store(store), reporter))


class Checked(list["Check"]):
    """Comparisons with a baseline, regressions first; a notebook shows them as a table."""

    @property
    def regressions(self) -> list["Check"]:
        """Comparisons with a regression."""
        return [one for one in self if one.verdict == "regression"]

    def table(self, format: TextFormat = "table") -> str:
        """The report as text.

        Args:
            format: "table" for a short form, or "markdown" for all comparisons.

        Returns:
            The text, with a line break at its end.

        Raises:
            UsageError: For another format.
        """
        from bench.reports.check_report import FORMATS

        return chosen_format(FORMATS, format)(self)

    def markdown(self) -> str:
        """The report as Markdown."""
        from bench.reports.check_report import as_markdown

        return as_markdown(self)

    def junit(self) -> str:
        """The report as JUnit XML."""
        from bench.reports.check_report import as_junit

        return as_junit(self)

    _repr_markdown_ = markdown


def check(baseline: str | PathLike[str], store: str | PathLike[str] = "runs", *, only: Only | None = None) -> Checked:
    """Compare the records of a store with a baseline: runs, scores and costs.

    Args:
        baseline: Folder of records to compare with.
        store: Folder of records to check.
        only: "scores" or "costs"; runs are checked in any case.

    Returns:
        All comparisons; ``regressions`` is empty if there is none.

    Raises:
        StoreError: If the store has no records.
        UsageError: If the baseline has none, or none in common with the store, and for another value of ``only``.

    Example:
        >>> assert not bench.check("baseline", "runs").regressions  # doctest: +SKIP
    """
    from bench.reports.check import checks
    from bench.reports.check_baseline import both
    from bench.results.store import Store

    if only is not None and only not in get_args(Only):
        raise did_you_mean("value", str(only), get_args(Only), "of only")
    before, now = Store(user_path(baseline)), Store(user_path(store))
    if not before.paths():
        raise UsageError(f"the baseline {baseline} has no records; make a baseline of the current ones with --update")
    return Checked(checks(list(before), list(now), both(before, now), only))


def update_baseline(baseline: str | PathLike[str], store: str | PathLike[str] = "runs") -> int:
    """Replace a baseline by the records of a store.

    Args:
        baseline: Folder of records that are replaced.
        store: Folder of records that replace them.

    Returns:
        Number of records of the new baseline.

    Raises:
        StoreError: If the store has no records, or a file cannot be written.
    """
    from bench.reports.check_baseline import replace
    from bench.results.store import Store

    return replace(Store(user_path(baseline)), Store(user_path(store)))
