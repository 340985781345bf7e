"""Command lines without what looks like a secret, for files that are shared."""

import os
import re
from collections.abc import Iterable, Sequence

HIDDEN = "***"
_NAME = re.compile(
    # Not "tokens", which are an axis of budgets.
    r"(?<![a-z])(token|secrets?|passw(or)?d|passphrase|pwd|(api|private|access|secret|account)[-_]?keys?"
    r"|credentials?|auth(orization)?|bearer|cookie|dsn)(?![a-z])",
    re.IGNORECASE,
)
"""Names of options, variables and parameters whose values are secrets."""
_KNOWN = re.compile(
    r"(?<![A-Za-z0-9])("
    r"hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|sk-[\w-]{16,}|xox[a-z]-[\w-]{8,}"
    r"|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|eyJ[\w-]{8,}\.[\w-]{8,}(\.[\w-]*)?|wandb_v\d_\w{16,}|[0-9a-f]{40}"
    r")(?![A-Za-z0-9])"
)
"""Tokens of services of known forms; 40 hexadecimal digits are a key of W&B."""
_USER = re.compile(r"(?<=://)[^/\s@]+@")
_PARAMETER = re.compile(r"(?P<name>[\w.-]+)(?P<sign>=|:(?!//)\s?)(?P<value>((bearer|basic)\s)?[^&;\s]+)", re.IGNORECASE)
_RANDOM = re.compile(r"(?=\w*[a-z])(?=\w*[A-Z])(?=\w*\d)\w{32,}")
"""Long words of small and capital letters and digits."""
SHORTEST = 8
"""Characters of the shortest value of a variable that is looked for."""


def scrubbed(text: str) -> str:
    """A text without what looks like a secret.

    Args:
        text: Any text.

    Returns:
        The text with ``***`` in place of tokens, passwords, users in addresses, and values of variables of the
        environment that are named like a secret.
    """
    for value in _of_environment():
        text = text.replace(value, HIDDEN)
    text = _USER.sub(f"{HIDDEN}@", text)
    text = _PARAMETER.sub(_without_value, text)
    return _RANDOM.sub(HIDDEN, _KNOWN.sub(HIDDEN, text))


def scrubbed_command(words: Sequence[str]) -> list[str]:
    """A command line without what looks like a secret.

    Args:
        words: The words.

    Returns:
        The words, also without the word after an option that is named like a secret.
    """
    found, hide = [], False
    for word in words:
        option = word.startswith("-")
        found.append(HIDDEN if hide and not option else scrubbed(word))
        hide = option and "=" not in word and _NAME.search(word) is not None
    return found


def _without_value(found: re.Match[str]) -> str:
    return f"{found['name']}{found['sign']}{HIDDEN}" if _NAME.search(found["name"]) else found[0]


def _of_environment() -> Iterable[str]:
    """Values of secret variables, the longest first."""
    values = {value for name, value in os.environ.items() if _NAME.search(name.replace("_", "-"))}
    return sorted((value for value in values if len(value) >= SHORTEST), key=len, reverse=True)
