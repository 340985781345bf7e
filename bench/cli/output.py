"""Lines of the command on the terminal."""

import typer

from bench.toolkit.visible import shortened, visible, visible_lines

LONGEST = 4000
"""Most characters of an error."""


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
    typer.echo(f"bench: {visible(shortened(str(message), LONGEST))}", err=True)
