"""Progress bars on the terminal."""

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.results.grouping import task_text
from bench.results.record import Record
from bench.spec.suite import RunSpec
from bench.toolkit.visible import shortened, visible

LONGEST = 4000
"""Most characters of a line."""


class RichReporter:
    """Progress reporter with a bar over all runs, and a second bar while items are encoded."""

    def __init__(self, console: Console) -> None:
        """Prepare the bars.

        Args:
            console: Console of standard error.
        """
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self.runs = self.progress.add_task("preparing", total=None)

    def __enter__(self) -> "RichReporter":
        # In a log file the bars would only leave an empty line.
        if self.console.is_terminal:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self.progress.stop()

    def plan(self, total: int) -> None:
        """Set the length of the bar over runs.

        Args:
            total: Number of runs.
        """
        self.progress.update(self.runs, total=total, description="runs")

    def encoding(self, name: str, total: int) -> Callable[[int], None]:
        """Add a bar for items to encode, which is removed when all are encoded.

        Args:
            name: Description of the items.
            total: Number of items.

        Returns:
            Function that advances the bar by a number of items.
        """
        bar = self.progress.add_task(visible(f"encoding {name}"), total=total)

        def advance(number: int) -> None:
            self.progress.advance(bar, number)
            if self.progress.tasks[self.progress.task_ids.index(bar)].finished:
                self.progress.remove_task(bar)

        return advance

    def running(self, spec: RunSpec) -> None:
        """Show the name of the run that starts.

        Args:
            spec: The run.
        """
        description = f"{task_text(spec)} {spec.method} shots={spec.shots} seed={spec.seed}"
        self.progress.update(self.runs, description=visible(description))

    def done(self, record: Record) -> None:
        """Advance the bar, and report a failure at once.

        Args:
            record: Record of the finished run.
        """
        self.progress.advance(self.runs)
        if record.status == "failed":
            spec = record.spec
            self.problem(f"{task_text(spec)} {spec.method} shots={spec.shots} seed={spec.seed} failed: {record.reason}")

    def problem(self, message: str) -> None:
        """Print one line in red on the console.

        Args:
            message: The line, without prefix.
        """
        self.console.print(
            visible(shortened(f"bench: {message}", LONGEST)), style="red", highlight=False, soft_wrap=True, markup=False
        )
