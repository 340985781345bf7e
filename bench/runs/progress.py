"""Progress on the terminal or in a log: bars, and a line for each finished run."""

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import registry
from bench.results.grouping import budget_text, method_text, task_text
from bench.results.record import Record
from bench.spec.suite import RunSpec
from bench.toolkit.visible import shortened, visible

LONGEST = 4000
"""Most characters of a line."""


class RichReporter:
    """Progress reporter with a line for each finished run, a bar over all, and another while items are encoded.

    Bars are for terminals; a log has the lines alone.
    """

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
        self._passed_over = 0

    def __enter__(self) -> "RichReporter":
        # In a log file the bars would only leave an empty line.
        if self.console.is_terminal:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._say_passed_over()
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
        """Advance the bar, and print the run's score or why it has none.

        Args:
            record: Record of the finished run.
        """
        self._say_passed_over()
        self.progress.advance(self.runs)
        spec = record.spec
        name = f"{task_text(spec)} {method_text(spec)} {budget_text(spec)}".rstrip()
        name += f" shots={spec.shots} seed={spec.seed}"
        if record.status == "failed":
            self.problem(f"{name} failed: {record.reason}")
            return
        self._print(f"{self._place()} {name}: {_result(record)}")

    def known(self, record: Record) -> None:
        """Advance the bar; one line for all such runs follows.

        Args:
            record: Its record.
        """
        self.progress.advance(self.runs)
        self._passed_over += 1

    def measured(self, what: str) -> None:
        """Advance the bar, and print what was measured.

        Args:
            what: The measurement in words.
        """
        self.progress.advance(self.runs)
        self._print(f"{self._place()} measured {what}")

    def _place(self) -> str:
        """Number of the run that ended, and of all runs where that is known."""
        bar = self.progress.tasks[self.progress.task_ids.index(self.runs)]
        return f"[{bar.completed:.0f}/{bar.total:.0f}]" if bar.total else f"[{bar.completed:.0f}]"

    def _say_passed_over(self) -> None:
        if self._passed_over:
            self._print(f"{self._passed_over} run{'s are' if self._passed_over > 1 else ' is'} recorded already")
        self._passed_over = 0

    def _print(self, line: str, style: str | None = None) -> None:
        text = visible(shortened(line, LONGEST))
        self.console.print(text, style=style, highlight=False, soft_wrap=True, markup=False)

    def problem(self, message: str) -> None:
        """Print one line in red on the console.

        Args:
            message: The line, without prefix.
        """
        self._print(f"bench: {message}", style="red")


def _result(record: Record) -> str:
    """Score and interval of a run with the seconds of adapting, or why it has no score."""
    if record.value is None:
        return f"{record.status.replace('_', ' ')}: {record.reason}"
    metric = registry.make_metric(record.metric)
    text = f"{metric.title} {metric.text(record.value)}{metric.unit and f' {metric.unit}'}"
    if record.ci_low is not None and record.ci_high is not None:
        text += f" [{metric.text(record.ci_low)}, {metric.text(record.ci_high)}]"
    return text if record.costs is None else f"{text}, adapt {record.costs.adapt.seconds:.3g} s"
