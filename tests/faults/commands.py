"""The command ``bench`` of a suite that is killed: a fork that finds the libraries imported, or a fresh interpreter."""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.helpers.preloaded import Program


class Fresh:
    """A command in an interpreter of its own.

    Attributes:
        pid: Its process id.
    """

    def __init__(self, words: Sequence[object], environment: dict[str, str], output: Path) -> None:
        arguments = [sys.executable, "-m", "bench", *map(str, words)]
        with output.open("ab") as file:
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment, start_new_session=True
            )
        self.pid = self._process.pid

    def exit_code(self, seconds: float) -> int | None:
        """The exit code, negative for a signal; None where the command still runs after some seconds."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None


def start(words: Sequence[object], site: Path, cache: Path, output: Path, fresh: bool = False) -> Program | Fresh:
    """Start a command.

    Args:
        words: Words of the command line after ``bench``.
        site: Folder in which plugins are found besides the project's own.
        cache: The cache folder.
        output: File that standard output and standard error are added to.
        fresh: Whether to start an interpreter.

    Returns:
        The command.
    """
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "BENCH_CACHE": str(cache)}
    if fresh:
        return Fresh(words, environment, output)
    return Program("bench", *words, env=environment, output=output, setup=_small_steps)


def _small_steps() -> None:
    """Measure once, as costs do not matter here, and let also a small run have something to take up."""
    from bench.costs import protocol, repeats
    from bench.data import batches
    from bench.engine import partial

    protocol.LEAST = repeats.LEAST = protocol.AT_ONCE = 1
    # Each episode is a group, and answers are kept after each.
    batches.KEY_ENTRIES_AT_ONCE = 1
    partial.EVERY = partial.SHARE = 0.0
