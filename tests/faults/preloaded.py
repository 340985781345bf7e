"""The command ``bench`` as a process that starts in milliseconds, or as a fresh interpreter.

A start of the program takes seconds, nearly all of them imports. A server that has imported what the command imports,
and has run nothing, forks for each command: the fork is a session of its own with its own arguments and files, runs the
command as ``python -m bench`` does, and forks its measuring server where the command spawns one.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


@dataclass
class Command:
    """A command under way.

    Attributes:
        process: Its process, of ``multiprocessing`` or ``subprocess``.
    """

    process: Any

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def exit_code(self, seconds: float) -> int | None:
        """The exit code, negative for a signal; None where the command still runs after some seconds."""
        if isinstance(self.process, subprocess.Popen):
            with suppress(subprocess.TimeoutExpired):
                return self.process.wait(seconds)
            return None
        self.process.join(seconds)
        return self.process.exitcode


class Commands:
    """Starter of commands; plugins are found in ``site`` besides the project's own."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self._context: Any = multiprocessing.get_context("forkserver")

    def preload(self, words: Sequence[object], cache: Path, output: Path) -> None:
        """Run a command in a fresh interpreter, and import what it imported into the server before that starts."""
        listed = output.with_suffix(".modules")
        command = self._fresh(["tests.faults.preloaded", listed, *words], cache, output)
        assert command.exit_code(600) == 0, output.read_text()
        os.environ["PRELOAD"] = str(listed)
        self._context.set_forkserver_preload(["tests.faults.preload", "tests.faults.preloaded"])

    def start(self, words: Sequence[object], cache: Path, output: Path, fresh: bool = False) -> Command:
        """Start a command.

        Args:
            words: Words of the command line after ``bench``.
            cache: The cache folder.
            output: File that standard output and standard error are added to.
            fresh: Whether to start an interpreter.

        Returns:
            The command.
        """
        if fresh:
            return self._fresh(["bench", *words], cache, output)
        texts = [str(word) for word in words]
        process = self._context.Process(target=_command, args=(texts, str(self.site), str(cache), str(output)))
        process.start()
        return Command(process)

    def _fresh(self, words: Sequence[object], cache: Path, output: Path) -> Command:
        path = os.pathsep.join([str(self.site), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, "BENCH_CACHE": str(cache)}
        arguments = [sys.executable, "-m", *map(str, words)]
        with output.open("ab") as file:
            process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment, start_new_session=True
            )
        return Command(process)


def _command(words: list[str], site: str, cache: str, output: str) -> None:
    """The command in a fork of the server."""
    os.setsid()
    file, nothing = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND), os.open(os.devnull, os.O_RDONLY)
    for standard, source in enumerate((nothing, file, file)):
        os.dup2(source, standard)
    os.environ["BENCH_CACHE"] = cache
    if site not in sys.path:
        sys.path.insert(0, site)
    sys.argv = ["bench", *words]
    multiprocessing.get_context = _Forking  # type: ignore[assignment]
    from bench.cli.app import main
    from bench.costs import protocol, repeats
    from bench.data import batches
    from bench.engine import partial

    # What is measured does not matter, so that nothing is measured twice.
    protocol.LEAST = repeats.LEAST = protocol.AT_ONCE = 1
    repeats.REFINING = 0.0
    # Each episode is a group, and answers are kept after each, so that also a small run has something to take up.
    batches.KEY_ENTRIES_AT_ONCE = 1
    partial.EVERY = partial.SHARE = 0.0
    main()


class _Forking:
    """In place of the context that spawns the measuring server."""

    def __init__(self, method: str) -> None:
        assert method == "spawn", method

    Pipe = staticmethod(multiprocessing.Pipe)

    @staticmethod
    def Process(target: Any, args: tuple[Any, ...], daemon: bool) -> Any:  # noqa: N802
        assert _threads() == 1, "a process with threads cannot be forked"
        context: Any = _FORK
        return context.Process(target=_as_if_spawned, args=(target, *args), daemon=daemon)


_FORK = multiprocessing.get_context("fork")


def _as_if_spawned(target: Any, *arguments: Any) -> None:
    """Call a function in a fork that keeps no signal handlers and no files of its parent, as a spawned process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    kept = [argument.fileno() for argument in arguments if isinstance(argument, Connection)]
    first = 3
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))
    target(*arguments)


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _main(listed: str, words: list[str]) -> None:
    """The command in a fresh interpreter that writes the names of its modules to a file at the end."""
    from bench.cli.app import main

    sys.argv = ["bench", *words]
    try:
        main()
    finally:
        names = [name for name in sys.modules if not name.startswith("__m")]
        Path(listed).write_text("\n".join(names), encoding="utf-8")


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2:])
