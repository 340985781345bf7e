"""Claims: statements with their tests, judged on recorded and new runs."""

from collections.abc import Sequence
from inspect import signature
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from bench.api.call import Call
from bench.api.formats import ClaimFormat, chosen_format
from bench.api.results import Results
from bench.api.runs import run
from bench.toolkit.files import data_folder, user_path
from bench.toolkit.trust import trusting

if TYPE_CHECKING:
    from bench.reports.claims import ClaimReport
    from bench.spec.claim import Claim


class Claims(Sequence["ClaimReport"]):
    """Claims with the verdicts on them and on their cells; a notebook shows them as tables.

    Attributes:
        reports: A report for each claim.
        results: Results of the runs that they were judged on.
    """

    def __init__(self, reports: "Sequence[ClaimReport]", results: Results) -> None:
        self.reports = tuple(reports)
        self.results = results

    @overload
    def __getitem__(self, index: int) -> "ClaimReport": ...
    @overload
    def __getitem__(self, index: slice) -> "Sequence[ClaimReport]": ...
    def __getitem__(self, index: int | slice) -> "ClaimReport | Sequence[ClaimReport]":
        return self.reports[index]

    def __len__(self) -> int:
        return len(self.reports)

    @property
    def refuted(self) -> "list[ClaimReport]":
        """Claims that are refuted."""
        return [report for report in self.reports if report.verdict == "refuted"]

    @property
    def undecided(self) -> "list[ClaimReport]":
        """Claims that are neither confirmed nor refuted."""
        return [report for report in self.reports if report.verdict == "undecided"]

    def table(self, format: ClaimFormat = "table") -> str:
        """All claims and their cells as text.

        Args:
            format: "table", "markdown", "json", or "html" for a page.

        Returns:
            The text, with a line break at its end.

        Raises:
            UsageError: For another format.
        """
        from bench.reports.claim_tables import FORMATS

        return chosen_format(FORMATS, format)(self.reports)

    def summary(self) -> str:
        """A row for each claim as Markdown, without their cells."""
        from bench.reports.claim_tables import summary_markdown

        return summary_markdown(self.reports)

    def junit(self) -> str:
        """The report as JUnit XML: a test suite for each claim."""
        from bench.reports.claim_tables import as_junit

        return as_junit(self.reports)

    def __repr__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        from bench.reports.claim_tables import section

        return section(self.reports)


def claims(
    name: str | PathLike[str],
    *,
    store: str | PathLike[str] = "runs",
    execute: bool = True,
    remeasure: bool = False,
    data: str | PathLike[str] | None = None,
    accelerator: str = "auto",
    trust: bool = False,
    logger: str = "none",
    progress: bool = True,
) -> Claims:
    """Test claims: run what they need and is not recorded, and judge each by paired tests against its limits.

    Args:
        name: Name of a set of shipped claims (``faast``) or of one of them (``faast/memory``), a YAML file, or a folder
            of such files (docs/claims.md).
        store: Folder of records; it is created.
        execute: Run and measure what is missing; otherwise cells without records are undecided.
        remeasure: Measure again the costs that were measured in company (docs/budgets.md).
        data: Folder of local data sets; by default each task's own source.
        accelerator: Lightning accelerator.
        trust: Load weights from files that run code when they are loaded, such as TorchScript archives.
        logger: Tracker of new runs: "wandb", "tensorboard", "csv", "mlflow", "trackio" or "none".
        progress: Show progress and problems on standard error.

    Returns:
        A report for each claim: its verdict, and for each cell the estimate, its interval, the verdict and what would
        decide it.

    Raises:
        StoreError: If a record cannot be written.
        UsageError: For an unknown name, and for a wrong name, value or combination in a file.

    Example:
        >>> found = bench.claims("faast")  # doctest: +SKIP
        >>> [report.verdict for report in found]  # doctest: +SKIP
    """
    from bench.spec.claim import load_claims, suite_of

    found = load_claims(fspath(name))
    if not execute:
        from bench.results.store import Store

        kept = Store(user_path(store))
        results = Results(kept if kept.root.is_dir() and kept.paths() else (), store)
        return Claims(results.judge(found), results)
    options = {
        "store": store, "remeasure": remeasure, "data": data, "accelerator": accelerator, "trust": trust,
        "logger": logger, "progress": progress,
    }  # fmt: skip
    bound = signature(run).bind(**options)
    bound.apply_defaults()
    with trusting(trust):
        results = Call.read(bound.arguments, suite_of(found)).run()
        _measure(found, results, accelerator, data_folder(data), remeasure, progress)
    return Claims(results.judge(found), results)


def _measure(
    found: "Sequence[Claim]", results: Results, accelerator: str, data: Path | None, remeasure: bool, progress: bool
) -> None:
    """Measure in turn the ratios of costs that claims are on and the store has not."""
    from bench.costs.in_turn import WITH_ENCODING
    from bench.engine.trainer import DeviceOptions, quiet_lightning
    from bench.reports.claim_cells import FoundRecords, pairs_to_measure, planned_cells
    from bench.results.ratio_files import RatioFiles
    from bench.results.run_texts import shots_text
    from bench.results.store import Store
    from bench.runs.cost_comparison import each_comparison
    from bench.runs.progress import RichReporter, error_console
    from bench.runs.report import Report
    from bench.runs.signals import interrupts

    kept = RatioFiles(results.store)
    cells = [cell for claim in found for cell in planned_cells(claim)]
    wanted = pairs_to_measure(cells, FoundRecords(results.records)).values()

    def is_kept(pair: Any) -> bool:
        _, own, other, axes = pair
        measured = kept.read(own, other)
        if measured is None or any(measured.of(axis) is None for axis in axes):
            return False
        return not (remeasure and measured.conditions.company)

    missing = [pair for pair in wanted if not is_kept(pair)]
    if not missing:
        return
    quiet_lightning()
    encoded = {(own.id, other.id) for _, own, other, axes in missing if axes & WITH_ENCODING}
    with RichReporter(error_console(progress)) as reporter, interrupts():
        reporter.plan(len(missing))
        report = Report(Store(results.store), reporter)
        pairs = [(shots, own, other) for shots, own, other, _ in missing]
        devices = DeviceOptions(accelerator=accelerator)
        for (_, own, other), one in zip(pairs, each_comparison(pairs, devices, data, report, encoded), strict=True):
            kept.write(own, other, one.measured)
            reporter.measured(
                f"{one.task} at {shots_text(one.shots)}: {own.spec.method} and {other.spec.method} in turn"
            )
