"""Help of commands: options and commands in groups, examples at the end, and colour where a terminal has it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from bench.cli.output import styled
from bench.contracts.errors import did_you_mean

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""Settings of the root command, which all others inherit."""
ARGUMENTS, OPTIONS, COMMANDS = "Arguments", "Options", "Commands"
FIRST_COLUMN = 30
"""Most characters of a name that has its text in the same line."""
Entry = tuple[str, str]
_WORDS = re.compile(r"(?<=default: )\((.*?)\)(?=[;\]])")
"""A default in words, which Typer puts into parentheses."""


class Command(TyperCommand):
    """A command whose options are shown in groups, and its examples below them."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options by group."""
        _write(formatter, _grouped(_parameters(self.get_params(ctx), ctx)))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        _write_examples(formatter, self.epilog)


class Group(TyperGroup):
    """A command with commands of its own, shown in groups."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands by group, each with the first line of its help."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        _write(formatter, _grouped((group_of(command), (name, summary(command))) for name, command in found))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the options."""
        self.format_commands(ctx, formatter)
        _write(formatter, _grouped(_parameters(self.get_params(ctx), ctx)))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        _write_examples(formatter, self.epilog)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the group's own options; without any word its help is printed.

        Args:
            ctx: Context of the group.
            args: Words of the command line.

        Returns:
            The words that are left.

        Raises:
            Exit: Without a word.
        """
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(2)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command of a name.

        Args:
            ctx: Context of the group.
            args: The name, and the words after it.

        Returns:
            Name, command and the words that are left.

        Raises:
            UsageError: For an unknown name, with the closest known one.
        """
        unknown = args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None
        if unknown and not ctx.resilient_parsing:
            raise did_you_mean("command", args[0], self.commands, f"of {ctx.command_path}")
        return super().resolve_command(ctx, args)


def summary(command: Any) -> str:
    """The first line of a command's help.

    Args:
        command: The command.

    Returns:
        One sentence.
    """
    return (command.help or "").strip().partition("\n")[0]


def group_of(command: Any) -> str:
    """Group of a command.

    Args:
        command: The command.

    Returns:
        Name of the group.
    """
    return str(getattr(command, "rich_help_panel", None) or COMMANDS)


def panel(parameter: Any) -> str:
    """Group of an argument or option.

    Args:
        parameter: The parameter.

    Returns:
        Name of the group.
    """
    by_kind = ARGUMENTS if parameter.param_type_name == "argument" else OPTIONS
    return str(getattr(parameter, "rich_help_panel", None) or by_kind)


def _parameters(parameters: Sequence[Any], ctx: Any) -> Iterator[tuple[str, Entry]]:
    """Group, name and help of each parameter that is not hidden."""
    for parameter in parameters:
        if (record := parameter.get_help_record(ctx)) is not None:
            # Typer puts the type of Python behind an argument's name.
            is_argument = parameter.param_type_name == "argument"
            name = str(parameter.metavar or parameter.name).upper() if is_argument else record[0]
            yield panel(parameter), (name, _WORDS.sub(r"\1", record[1]))


def _grouped(rows: Iterable[tuple[str, Entry]]) -> dict[str, list[Entry]]:
    """Entries by group; options without a group come last."""
    groups: dict[str, list[Entry]] = {}
    for name, entry in rows:
        groups.setdefault(name, []).append(entry)
    return {name: groups[name] for name in sorted(groups, key=lambda name: name == OPTIONS)}


def _write(formatter: Any, groups: Mapping[str, Sequence[Entry]]) -> None:
    for name, rows in groups.items():
        with formatter.section(styled(name, bold=True)):
            formatter.write_dl([(styled(first, fg="cyan"), text) for first, text in rows], col_max=FIRST_COLUMN)


def _write_examples(formatter: Any, examples: str | None) -> None:
    if examples:
        with formatter.section(styled("Examples", bold=True)):
            formatter.write("".join(f"  {line.strip()}\n" for line in examples.strip().splitlines()))
