"""Text whose every character can be seen: what names and messages may hold and a terminal or a reader must not get.

Control characters steer a terminal, marks of direction show text in another order, and lone surrogates cannot be
written at all. Each is shown as the escape that Python writes for it.

All of them are among the characters that Python does not call printable. Nearly every text is printable, which is found
in a twentieth of the time of a search by the pattern.
"""

import re

LONGEST_CELL = 2000
"""Most characters of a text in a table or on a page."""
_INVISIBLE = (
    r"\x00-\x1f\x7f-\x9f\xad"  # control characters, the soft hyphen
    r"\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # direction, separators, zero width
    r"\ud800-\udfff\U000e0000-\U000e007f"  # surrogates, tags
)
_ONE_LINE = re.compile(f"[{_INVISIBLE}]")
_LINES = re.compile(f"(?!\n)[{_INVISIBLE}]")


def visible(text: str) -> str:
    r"""A text in one line, with escapes for what cannot be seen.

    Args:
        text: Any text.

    Returns:
        The text; ``\x1b`` and the like in place of invisible characters and of line breaks.
    """
    return text if text.isprintable() else _ONE_LINE.sub(_escape, text)


def visible_lines(text: str) -> str:
    """A text of several lines, with escapes for what cannot be seen but the line breaks.

    Args:
        text: Any text.

    Returns:
        The text.
    """
    return text if text.isprintable() else _LINES.sub(_escape, text)


def visible_json(text: str) -> str:
    """JSON whose texts have escapes for what cannot be seen.

    Args:
        text: JSON.

    Returns:
        JSON with other texts, where these held such characters as they are.
    """
    return text if text.isprintable() else _LINES.sub(lambda found: f"\\{_escape(found)}", text)


def shortened(text: str, most: int) -> str:
    """The beginning of a text.

    Args:
        text: Any text.
        most: Most characters.

    Returns:
        The text, with dots where its end is left out.
    """
    return text if len(text) <= most else f"{text[:most]}..."


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")
