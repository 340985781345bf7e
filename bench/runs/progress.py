"""Progress on the terminal or in a log: bars, and a line for each finished run."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench import registry
from bench.results.record import Record
from bench.results.run_texts import run_text
from bench.runs.reporter import Reporter
from bench.runs.time_left import TimeLeft, duration
from bench.spec.run_spec import RunSpec
from bench.toolkit.visible import shortened, visible

LONGEST = 4000
"""Most characters of a line."""
POLL = 0.5
"""Seconds between two looks at the share of a run that is done; no bar is drawn before the first."""
LOG_EVERY = 300.0
"""Seconds after which a log has another line on a run that goes on."""


def error_console(shown: bool = True) -> Console:
    """The console of standard error, on which names such as ``:x:`` stay as they are.

    Args:
        shown: Whether anything is printed.

    Returns:
        The console.
    """
    return Console(stderr=True, emoji=False, quiet=not shown)


class RichReporter(Reporter):
    """Progress reporter with a line for each finished run, a bar over all, and another for what takes long.

    Bars are for terminals; a log has lines alone.
    """

    def __init__(self, console: Console, log: bool = True) -> None:
        """Prepare the bars.

        Args:
            console: Console of standard error.
            log: Whether a log has lines on what is prepared.
        """
        self.console = console
        self.log = log
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=console,
            transient=True,
        )
        self.runs = self.progress.add_task("preparing", total=None, left="")
        self._left = TimeLeft([], lambda spec: None)
        self._passed_over = 0
        self._prepared = ""

    def __enter__(self) -> "RichReporter":
        # In a log file the bars would only leave an empty line.
        if self.console.is_terminal:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._say_passed_over()
        if self.console.is_terminal:
            self.progress.stop()

    def preparing(self, what: str) -> None:
        """Show what is prepared: beside the bar, or as a line of a log."""
        if what == self._prepared:
            return
        self._prepared = what
        self.progress.update(self.runs, description=visible(what))
        if self.log and not self.console.is_terminal:
            self._print(f"preparing: {what}")

    def plan(self, total: int, left: TimeLeft | None = None) -> None:
        """Set the length of the bar over runs."""
        if left is not None:
            self._left = left
        self.progress.update(self.runs, total=total, description="runs")

    def encoding(self, what: str, total: int) -> Callable[[int], None]:
        """Add a bar for items to encode, which is removed when all are encoded; a log has a line."""
        if self.log and not self.console.is_terminal:
            self._print(f"preparing: {what}: encoding {total:,} items")
        bar = self._add(f"encoding {what}", total)

        def advance(number: int) -> None:
            self.progress.advance(bar, number)
            if self.progress.tasks[self.progress.task_ids.index(bar)].finished:
                self.progress.remove_task(bar)

        return advance

    def running(self, spec: RunSpec) -> None:
        """Show the name of the run that starts, and the time that is left."""
        self._left.begin()
        self.progress.update(self.runs, description=visible(run_text(spec)), left=self._left.text())

    @contextmanager
    def within(self, what: str, share: Callable[[], float | None] | None = None) -> Iterator[None]:
        """Show a bar for a part of a run that takes long; a log has a line every few minutes."""
        ended = threading.Event()
        follower = threading.Thread(target=self._follow, args=(what, share, ended), daemon=True)
        follower.start()
        try:
            yield
        finally:
            ended.set()
            follower.join()

    def done(self, record: Record) -> None:
        """Advance the bar, and print the run's score or why it has none."""
        self._say_passed_over()
        # What is skipped takes no time, and says nothing about the time of the others.
        (self._left.passed_over if record.status == "skipped" else self._left.ended)(record.spec)
        self.progress.advance(self.runs)
        if record.status == "failed":
            self.problem(f"{run_text(record.spec)} failed: {record.reason}")
            return
        left = self._left.text()
        self._print(f"{self._place()} {record_line(record)}{left and f'; {left}'}")

    def known(self, record: Record) -> None:
        """Advance the bar; one line for all such runs follows."""
        self._left.passed_over(record.spec)
        self.progress.advance(self.runs)
        self._passed_over += 1

    def measured(self, what: str) -> None:
        """Advance the bar, and print what was measured.

        Args:
            what: The measurement in words.
        """
        self.progress.advance(self.runs)
        self._print(f"{self._place()} measured {what}")

    def problem(self, message: str) -> None:
        """Print one line in red on the console."""
        self._print(f"bench: {message}", style="red")

    def _follow(self, what: str, share: Callable[[], float | None] | None, ended: threading.Event) -> None:
        """Show how far a part of a run is, until it ends."""
        bar: TaskID | None = None
        began = shown = time.monotonic()
        while not ended.wait(POLL):
            part, now = share() if share else None, time.monotonic()
            percent = None if part is None else round(100 * part)
            if self.console.is_terminal:
                if bar is None:
                    bar = self._add(what if share is None else f"{what}, %", None if share is None else 100)
                self.progress.update(bar, completed=percent)
            elif now - shown >= LOG_EVERY:
                shown = now
                done = "" if percent is None else f", {percent}%"
                self._print(f"{what}{done}, for {duration(now - began)}")
        if bar is not None:
            self.progress.remove_task(bar)

    def _add(self, what: str, total: int | None) -> TaskID:
        return self.progress.add_task(visible(what), total=total, left="")

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


def record_line(record: Record) -> str:
    """A run with its result, in one line.

    Args:
        record: Its record.

    Returns:
        Score and interval with the seconds of adapting, or why there is no score.
    """
    return f"{run_text(record.spec)}: {_result(record)}"


def _result(record: Record) -> str:
    if record.value is None:
        return f"{record.status.replace('_', ' ')}: {record.reason}"
    metric = registry.make_metric(record.metric)
    text = f"{metric.title} {metric.text(record.value)}{metric.unit and f' {metric.unit}'}"
    if record.ci_low is not None and record.ci_high is not None:
        text += f" [{metric.text(record.ci_low)}, {metric.text(record.ci_high)}]"
    return text if record.costs is None else f"{text}, adapt {record.costs.adapt.seconds:.3g} s"
