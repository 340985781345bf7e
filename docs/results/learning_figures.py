"""Figures of in-place test-time training, of sequences of tasks and of Fast-Slow Training; see ``paper_figures.py``."""

from collections.abc import Iterator, Sequence

import plotly.graph_objects as go
from charts import Point, chart

from bench.reports.sequences import Change, sequence_rows
from bench.results.record import Record
from tasks.needle import VALUES, Needle

HAYSTACKS = {"": "needle in noise", "needles": "needle among others", "removed": "needle removed"}
"""Titles of panels by the form of the task ``needle``."""
ARMS = {
    (True, True): "both", (True, False): "prompts alone (fast)", (False, True): "weights alone (slow)",
    (False, False): "neither",
}  # fmt: skip
"""Names of the arms of Fast-Slow Training, by ``fast`` and ``slow``."""


def needles(records: Sequence[Record]) -> go.Figure:
    """Accuracy on needles by attention and fast weights, with chance as a dashed line.

    Args:
        records: Records of the suite needle_small or needle_long.

    Returns:
        The figure, a panel for each haystack.
    """

    def points() -> Iterator[Point]:
        for record in sorted(records, key=lambda one: (_haystack(one), _tokens(one), _reading(one))):
            if record.value is not None:
                panel = HAYSTACKS[_haystack(record)]
                ends = (record.ci_low, record.ci_high)
                yield Point(panel, _reading(record), f"{_tokens(record):,}", record.value, *ends)

    figure = chart(points(), "tokens", "accuracy, %")
    figure.update_yaxes(range=[-5, 105])
    return _side_by_side(figure, 0.7).add_hline(y=100 / len(VALUES), line={"color": "#444444", "dash": "dash"})


def _side_by_side(figure: go.Figure, gap: float) -> go.Figure:
    """The figure with the values of one place beside each other; numbers are names of places, without lines between."""
    figure.update_xaxes(type="category").update_traces(mode="markers")
    return figure.update_layout(scattermode="group", scattergap=gap)


def _tokens(record: Record) -> int:
    # A record names its first variant by nothing.
    variant = record.spec.task.partition(":")[2] or next(iter(Needle.variants))
    return int(variant.partition("-")[0])


def _haystack(record: Record) -> str:
    return record.spec.task.partition("-")[2]


def _reading(record: Record) -> str:
    config = record.spec.config
    attention = "attention within chunks" if config.get("attention") == "chunk" else "full attention"
    return attention if config.get("lr") == 0 else f"{attention}, fast weights"


def forgetting(records: Sequence[Record]) -> go.Figure:
    """Points that later tasks cost the first one, and that earlier ones gave the last one, against shots.

    Args:
        records: Records of sequences of two tasks.

    Returns:
        The figure, two panels for each sequence.
    """

    def points() -> Iterator[Point]:
        for row in sequence_rows(records):
            changes = {"forgetting": row.forgetting, "plasticity": row.plasticity}
            for name, change in changes.items():
                if change is not None and isinstance(row.shots, int) and row.shots > 0:
                    yield _change(f"{row.task}: {name}", row.method, row.shots, change)

    found = sorted(points(), key=lambda point: point.x)
    figure = chart(found, "shots", "points", log_x=True)
    return _side_by_side(figure, 0.2) if len({point.x for point in found}) == 1 else figure


def _change(panel: str, line: str, shots: int, change: Change) -> Point:
    return Point(panel, line, shots, change.value, change.low, change.high)


def cycles(records: Sequence[Record]) -> go.Figure:
    """Right answers to the examples of each cycle of Fast-Slow Training, and the divergence from the base model.

    Args:
        records: Records of ``fast_slow`` on one task, an arm each.

    Returns:
        The figure: with the best prompt, without a prompt, and the divergence without a prompt.
    """

    def points() -> Iterator[Point]:
        # The row that answers without the prompt has the curve of the one with it.
        shown = [one for one in records if _arm(one) != ARMS[False, False] and one.spec.config.get("prompt") != "seed"]
        for record in sorted(shown, key=_arm):
            # The last entry is of the items of the last cycle again, after its steps.
            for cycle, each in enumerate(record.notes.get("fast_slow_curve", [])):
                if each["evolved"] is not None:
                    yield Point("right with the best prompt, %", _arm(record), cycle, 100 * each["evolved"])
                yield Point("right without a prompt, %", _arm(record), cycle, 100 * each["plain"])
                yield Point("KL to the base model, nats", _arm(record), cycle, each["kl"])

    return chart(points(), "cycle", None)


def _arm(record: Record) -> str:
    config = record.spec.config
    return ARMS[bool(config.get("fast", True)), bool(config.get("slow", True))]
