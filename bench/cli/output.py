"""Lines of the command on the terminal."""

import os
import sys
from pathlib import Path
from typing import Any

import typer

from bench.contracts.errors import UsageError
from bench.toolkit.visible import shortened, visible, visible_lines

LONGEST = 4000
"""Most characters of an error."""


def styled(text: str, **style: Any) -> str:
    """A text in colour or bold; what prints it leaves both out where there is no terminal.

    Args:
        text: The text.
        **style: Arguments of ``typer.style``, such as ``fg="red"`` or ``bold=True``.

    Returns:
        The text with codes for a terminal; as it is where the environment has NO_COLOR.
    """
    return text if os.environ.get("NO_COLOR") else typer.style(text, **style)


def say(text: str, err: bool = False) -> None:
    """Print lines; characters that steer a terminal are shown as escapes.

    Args:
        text: One line or several.
        err: Whether they are for standard error.
    """
    typer.echo(visible_lines(text), err=err)


def say_error(message: object) -> None:
    """Print one line on standard error.

    Args:
        message: An error or a text, without prefix.
    """
    typer.echo(f"{styled('bench:', fg='red')} {visible(shortened(str(message), LONGEST))}", err=True)


def require_readable(format_: str, out: Path | None) -> None:
    """Refuse a page for a terminal, before any work.

    Args:
        format_: The format.
        out: File of ``--out``; None for standard output.

    Raises:
        UsageError: For HTML on a terminal.
    """
    if format_ == "html" and out is None and sys.stdout.isatty():
        raise UsageError("an HTML page cannot be read in a terminal: --format html needs --out FILE, or a pipe")


def deliver(text: str, out: Path | None) -> None:
    """Print a report, or write it to a file.

    Args:
        text: The report.
        out: File of ``--out``; None for standard output.

    Raises:
        StoreError: If the file cannot be written.
    """
    if out is None:
        typer.echo(text, nl=False)
    else:
        write("--out", out, text)


def write(option: str, path: Path, text: str) -> None:
    """Write the file of an option.

    Args:
        option: Name of the option.
        path: Its value.
        text: Content of the file.

    Raises:
        StoreError: If the file cannot be written.
    """
    from bench.toolkit.durable import write_atomic, writing
    from bench.toolkit.files import user_path

    with writing(f"{option} {path}"):
        write_atomic(user_path(path), text)
