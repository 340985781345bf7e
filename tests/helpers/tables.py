"""Markdown tables in reports."""

import re


def compact(text):
    """A text with the cells of its Markdown tables without padding."""
    return "\n".join(
        re.sub(r" *(?<!\\)\| *", " | ", line).strip() if line.startswith("|") else line for line in text.split("\n")
    )
