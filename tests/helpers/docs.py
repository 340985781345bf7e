"""The documentation's pages, and the commands in them."""

import re
import shlex
from functools import cache

import typer
from typer import Context

from bench.cli.app import app
from tests.helpers.places import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELLS = {"", "sh", "bash", "console"}
"""Languages of code blocks with commands."""
COMMAND = cache(typer.main.get_command)
"""Not the command that tests call: the first context of a command decides on its options for help."""


def split(text):
    """Code blocks of a page as pairs of language and lines, and the text outside of them."""
    blocks, outside, block = [], [], None
    for line in text.splitlines():
        if line.startswith("```"):
            block = None if block else (line.removeprefix("```").strip(), [])
            blocks += [block] if block else []
        else:
            (block[1] if block else outside).append(line)
    return blocks, " ".join(outside)


def commands(page):
    """Each line of a code block, or word in the text, that is a command of ours, in the order of the page's blocks."""
    blocks, outside = split(page.read_text(encoding="utf-8"))
    lines = [line for language, block in blocks if language in SHELLS for line in block]
    # In running text, a command without options is a name.
    lines += re.findall(r"`(bench [^`]+ --[^`]+)`", outside)
    for line in lines:
        # In a transcript, what is typed stands behind a prompt.
        words = " ".join(line.partition("#")[0].removeprefix("$ ").split())
        # Ellipses, alternatives and optional parts are for the reader.
        if words.startswith("bench ") and not re.search(r"[|\[\]…]|\.\.\.|\bMETHOD\b|\bNAME\b|PLUGIN|SUITE", words):
            yield words


def parsed(line):
    """The context of the command that a line is; raises for what it does not take."""
    command = COMMAND(app)
    context, words = None, shlex.split(line)[1:]
    while hasattr(command, "commands") and words:
        if words[0] not in command.commands:
            raise ValueError(f"no command {words[0]!r}")
        context = Context(command, parent=context)
        command, words = command.commands[words[0]], words[1:]
    return command.make_context(line, words, parent=context)


def replace_section(page, name, text):
    """Write a text between the marks ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->`` of a page."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"{page} must have the marks {begin} and {end}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
