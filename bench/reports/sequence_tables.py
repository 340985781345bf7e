"""Tables of sequences of tasks: terminal, Markdown and HTML."""

from collections.abc import Sequence

from bench import registry
from bench.reports.html_tables import html_table
from bench.reports.markdown import markdown_table, markdown_text
from bench.reports.sequences import Change, SequenceRow
from bench.reports.terminal_tables import terminal_table

HEADER = (
    "task", "method", "shots", "before", "learnt", "final", "forgetting", "plasticity", "gain per label",
    "labels to base", "rise of text NLL",
)  # fmt: skip
NOTE = (
    "before, learnt, final: score on the task before its own stage, after it, and after the last stage. forgetting: "
    "learnt - final. plasticity: learnt - a fresh method on this task alone. gain per label: (learnt - before) / "
    "labelled examples. labels to base: fewest with which learnt is as good as a fresh method with the most. rise of "
    "text NLL: of generic texts, in nats per token, over the stage; frozen: the method leaves the model as it is. In "
    "brackets 95% intervals of paired differences."
)


def as_table(rows: Sequence[SequenceRow]) -> str:
    """Terminal tables as plain text, one for each sequence."""
    return "\n".join(
        f"{name}\n{terminal_table(HEADER, [_cells(row) for row in own], NOTE)}" for name, own in _by_sequence(rows)
    )


def as_markdown(rows: Sequence[SequenceRow]) -> str:
    """GitHub tables, one for each sequence."""
    parts = []
    for name, own in _by_sequence(rows):
        table = markdown_table(HEADER, [_cells(row) for row in own], HEADER[3:])
        parts += [f"**{markdown_text(name)}**", table, markdown_text(NOTE)]
    return "\n\n".join(parts) + "\n"


def as_html(rows: Sequence[SequenceRow]) -> str:
    """Tables for notebooks, a fragment of HTML."""
    return "".join(html_table(HEADER, [_cells(row) for row in own], [name, NOTE]) for name, own in _by_sequence(rows))


FORMATS = {"table": as_table, "markdown": as_markdown}


def _by_sequence(rows: Sequence[SequenceRow]) -> list[tuple[str, list[SequenceRow]]]:
    found: dict[str, list[SequenceRow]] = {}
    for row in rows:
        found.setdefault(f"{row.sequence} on {row.backbone}", []).append(row)
    # By task, so that the methods stand below each other.
    return [(name, sorted(own, key=lambda row: own_order(row, own))) for name, own in found.items()]


def own_order(row: SequenceRow, rows: Sequence[SequenceRow]) -> tuple[int, float]:
    """Sort key of a row: its task in the order of the sequence, then its shots."""
    tasks = list(dict.fromkeys(each.task for each in rows))
    return tasks.index(row.task), float("inf") if row.shots == "full" else float(row.shots)


def _cells(row: SequenceRow) -> list[str]:
    metric = registry.make_metric(row.metric)
    nll = "frozen" if row.nll_rise is None else _text(row.nll_rise, "+.3f")
    return [
        row.task,
        row.method,
        str(row.shots),
        *(metric.text(score) for score in (row.before, row.learnt, row.final)),
        _text(row.forgetting, f"+.{metric.decimals}f"),
        _text(row.plasticity, f"+.{metric.decimals}f"),
        _text(row.per_label, "+.2f"),
        "-" if row.labels_to_base is None else f"{row.labels_to_base:g}",
        nll,
    ]


def _text(change: Change | None, form: str) -> str:
    if change is None:
        return "-"
    if change.low is None or change.high is None:
        return format(change.value, form)
    return f"{change.value:{form}} [{change.low:{form}}, {change.high:{form}}]"
