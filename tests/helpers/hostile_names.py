"""Names as a record from elsewhere may have them, and what no output makes of them."""

import re

from tests.helpers.records import made

HOSTILE = (
    "\x1b]0;title\x07", "\x1b[2J", "\x9b2J", "[red]x[/red]", "[link=http://e.com]x[/link]", "[a](javascript:alert(1))",
    "![i](http://e.com/i.png)", "<img src=x onerror=alert(1)>", "<!-- x", "@team", "#12", "a|b", r"a\|b", "a\nb",
    "a\r\nb", "`x`", "**b**", "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", "  =1", "\uff1d1",
    "\u202eabc", "\u2066abc", "\ud800", "\x00", "{{ 1 }}", "%0A", "'; DROP TABLE x", ":x:",
)  # fmt: skip
INVISIBLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

MARKUP = re.compile(r"<(?!!-- -->|/?(details|summary)\b)|\]\(|(?<!&)[@#]\w|\\|`|\*\*")


def hostile(text):
    spec = {"task": text, "method": text, "backbone": text, "config": {"name": text}}
    scored = made(spec)
    failed = made(spec | {"seed": 1}, status="failed", reason=text, value=None, episode_scores=[])
    return [scored, failed]
