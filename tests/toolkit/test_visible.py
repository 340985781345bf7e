"""Texts are searched for what cannot be seen only where Python calls a character of them unprintable."""

import json
import re
import sys

from bench.toolkit import visible as module
from bench.toolkit.visible import visible, visible_json, visible_lines


def test_no_invisible_character_is_printable():
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    invisible = re.findall(module._ONE_LINE.pattern, every)
    assert len(invisible) > 2000
    assert not any(map(str.isprintable, invisible))


def test_texts_that_hold_one_are_escaped_and_others_stay():
    assert visible("a\u202eb\n\u00e9 c") == r"a\u202eb\n" + "\u00e9 c"
    assert visible_lines("a\x1b\nb\u3000") == "a\\x1b\nb\u3000"
    assert json.loads(visible_json('{"a": "b\u200bc"}')) == {"a": r"b\u200bc"}
    assert visible("a b \u00e9 \u4e2d") == "a b \u00e9 \u4e2d"
