"""Errors of the command line's parser in the words and the form of all other errors."""

import re
from difflib import get_close_matches
from typing import Any

import typer

from bench.contracts.errors import did_you_mean, shown

OTHER_NAMES = {
    "--current": "--store",
    "--device": "--accelerator",
    "--model": "--backbone",
    "--num_fewshot": "--shots",
    "--output_path": "--store",
}
"""Names of options elsewhere, with ours."""
_CHOICE = re.compile(r"(?:Value error, )?'(?P<given>.*)' is not one of (?P<known>.*)\.?")


def usage_line(error: typer.TyperException) -> str:
    """What is wrong with a command line, and how to go on.

    Args:
        error: An error of the parser.

    Returns:
        One line.
    """
    context: Any = getattr(error, "ctx", None)
    command = "bench" if context is None else context.command_path
    return f"{_line(error, command, context)}; see {command} --help"


def _line(error: typer.TyperException, command: str, context: Any) -> str:
    if (option := getattr(error, "option_name", None)) is not None and hasattr(error, "possibilities"):
        return _unknown(str(option), command, context)
    if not isinstance(error, typer.BadParameter):
        return f"{command}: {_sentence(error.format_message())}"
    name = _name(error.param)
    if hasattr(error, "param_type"):  # a parameter that is missing
        return f"{command} needs {name}"
    if found := _CHOICE.fullmatch(error.message):
        return str(did_you_mean("value", found["given"], re.findall(r"'([^']*)'", found["known"]), f"of {name}"))
    return f"{command}: {name} {_requirement(error.message)}"


def _unknown(option: str, command: str, context: Any) -> str:
    """An option that the command has not, with the one that is probably meant."""
    known = [] if context is None else [name for one in context.command.get_params(context) for name in one.opts]
    meant = OTHER_NAMES.get(option.replace("-", "_").replace("__", "--", 1))
    close = [meant] if meant in known else get_close_matches(option, known, n=1)
    return f"{command} has no option {shown(option, 80)}" + (f"; did you mean {close[0]}?" if close else "")


def _name(parameter: Any) -> str:
    """An option by its long name, an argument in capitals."""
    if parameter is None:
        return "a value"
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).upper()
    return str(max(parameter.opts, key=len))


def _requirement(message: str) -> str:
    """What a value must be, of a message of pydantic or of Typer."""
    text = _sentence(message).partition(", unable to parse")[0]
    begin = "Input should be "
    return f"must be {text.removeprefix(begin)}" if text.startswith(begin) else f"is wrong: {text}"


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").rstrip(".")
