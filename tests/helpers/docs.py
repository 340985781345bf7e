"""The documentation's pages, and the commands in them."""

import re

from tests.helpers.places import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(page):
    """Each line of a code block, or word in a table, that is a command of ours."""
    text = page.read_text(encoding="utf-8")
    # In running text, a command without options is a name.
    found = re.findall(r"^```(?:sh|bash|console)?\n(.*?)^```|`(bench [^`]+ --[^`]+)`", text, re.MULTILINE | re.DOTALL)
    for line in (line for block, word in found for line in (block or word.replace("\n", " ")).splitlines()):
        # In a transcript, what is typed stands behind a prompt.
        words = line.partition("#")[0].strip().removeprefix("$ ")
        # Ellipses, alternatives and optional parts are for the reader.
        if words.startswith("bench ") and not re.search(r"[|\[\]…]|\.\.\.|\bMETHOD\b|\bNAME\b|PLUGIN|SUITE", words):
            yield words
