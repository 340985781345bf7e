"""Progress on the terminal."""

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.results.record import Record
from bench.spec.suite import RunSpec


class RichReporter:
    """A bar over all runs, and one below it while items are encoded."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self.runs = self.progress.add_task("preparing", total=None)

    def __enter__(self) -> "RichReporter":
        # A log has no use for bars, and would be given an empty line for them.
        if self.console.is_terminal:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self.progress.stop()

    def plan(self, total: int) -> None:
        """Set the length of the bar over runs."""
        self.progress.update(self.runs, total=total, description="runs")

    def encoding(self, what: str, total: int) -> Callable[[int], None]:
        """Add a bar for the items to encode; it goes when they are done."""
        bar = self.progress.add_task(f"encoding {what}", total=total)

        def advance(number: int) -> None:
            self.progress.advance(bar, number)
            if self.progress.tasks[self.progress.task_ids.index(bar)].finished:
                self.progress.remove_task(bar)

        return advance

    def running(self, spec: RunSpec) -> None:
        """Name the run that begins."""
        self.progress.update(self.runs, description=f"{spec.task} {spec.method} shots={spec.shots} seed={spec.seed}")

    def done(self, record: Record) -> None:
        """Advance the bar; say at once what failed."""
        self.progress.advance(self.runs)
        if record.status == "failed":
            spec = record.spec
            self.problem(f"{spec.task} {spec.method} shots={spec.shots} seed={spec.seed} failed: {record.reason}")

    def problem(self, message: str) -> None:
        """One line on standard error."""
        self.console.print(f"bench: {message}", style="red", highlight=False, soft_wrap=True, markup=False)
