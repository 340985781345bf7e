"""Texts in XML reports."""

import re

from bench.toolkit.visible import visible

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """A text without characters that XML does not allow or a reader cannot see.

    Args:
        text: Any text.

    Returns:
        The text, with escapes or question marks in their place.
    """
    return _NOT_XML.sub("?", visible(text))
