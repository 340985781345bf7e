"""Plain English: words that no file of the project uses, in text, names or comments; CONTRIBUTING.md has the rules."""

import re
import subprocess

import pytest

from tests.helpers.places import ROOT

WORDS = ("told", "asked", "whoever", "dearer", "mend", "mends", "mended", "mending")
PHRASES = ("what became of", "what came of", "so many", "cannot be had")
GAP = r"[\s*/#]+"
"""Between two words of a phrase, which may be on two lines of a comment."""
FORBIDDEN = re.compile(
    # An underscore separates words too: names are covered.
    "|".join([rf"(?<![a-z]){word}(?![a-z])" for word in WORDS] + [phrase.replace(" ", GAP) for phrase in PHRASES]),
    re.IGNORECASE,
)
DATA = ("tests/golden", "tests/results/old_records", "tests/test_language.py", "constraints.txt", "LICENSE")
"""Files that are data, not prose."""


def uses(text):
    """Lines of a text with a forbidden word."""
    return [f"{text.count(chr(10), 0, match.start()) + 1}: {match[0]}" for match in FORBIDDEN.finditer(text)]


def texts():
    """Paths and contents of all text files of the repository."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if not path.is_file() or name.startswith(DATA):
            continue
        content = path.read_bytes()
        if b"\0" not in content:
            yield name, content.decode("utf-8", errors="replace")


@pytest.mark.slow
def test_no_file_uses_these_words():
    found = [f"{name}:{use}" for name, text in texts() for use in uses(text)]
    assert found == [], "reword: " + ", ".join(found)


@pytest.mark.parametrize(
    "text", ["he was told.", "told_of = 1", "is_asked", "Whoever", "so\n    # many", "what became of it", "mended"]
)
def test_a_forbidden_word_is_found(text):
    assert len(uses(text)) == 1


@pytest.mark.parametrize("text", ["masked_fill", "amended", "recommended", "unmasked", "so few"])
def test_parts_of_other_words_are_not(text):
    assert uses(text) == []
