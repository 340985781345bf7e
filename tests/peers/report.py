"""The table of ``make peers`` in docs/performance.md, from its JSON file."""

import statistics
from collections.abc import Sequence
from typing import Any

HEADER = (
    "| work | peer | ours | peer | ratio | at least | agreement |",
    "|---|---|---:|---:|---:|---:|---|",
)


def line(found: dict[str, Any]) -> str:
    """One line of the table."""
    begin = f"| {found['work']} | {found['peer']} |"
    if found["status"] in ("not run", "failed"):
        return f"{begin} | | | {found['goal']:.3g}x | {found['status']}: {_flat(found['why'])} |"
    ours, peer = (f"{statistics.median(found[which]):.3g} s" for which in ("ours", "peer_seconds"))
    marks = [("" if check["passed"] else "**differs**: ") + check["finding"] for check in found["checks"]]
    return f"{begin} {ours} | {peer} | {found['value']:.2f}x | {found['goal']:.3g}x | {'; '.join(marks)} |"


def below(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each ratio below its goal, with the reason, and for each row with a stand-in."""
    lines = []
    for found in rows:
        if found.get("reason"):
            lines.append(
                f"- Below the goal, {found['value']:.2f}x of {found['goal']:.3g}x: {found['work']}. {found['reason']}"
            )
        if found.get("note"):
            lines.append(f"- {found['work']}: {found['note']}")
    return lines


def section(results: dict[str, Any]) -> str:
    """The section as Markdown."""
    rows = results["rows"]
    rounds = [len(found["ours"]) for found in rows if found.get("ours")]
    counted = f" Medians of {min(rounds)} to {max(rounds)} rounds, in turn." if rounds else ""
    lines = [f"Machine: {results['machine']}.{counted}", "", *HEADER, *map(line, rows)]
    return "\n".join([*lines, *([""] if below(rows) else []), *below(rows)])


def _flat(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")[:300]
