"""Figures of small suites, from their records; ``paper.py`` writes them to docs/images."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import learning_figures
import plotly.graph_objects as go
from charts import LAW, Point, chart

from bench.contracts.site import name_at_site
from bench.results.record import Record
from bench.results.run_texts import shots_text
from tasks.recall import DIM, NOISE, WAYS, hebbian_accuracy


def _scored(records: Iterable[Record], line: Callable[[Record], str], x: Callable[[Record], Any]) -> Iterator[Point]:
    """Scores of records, by panels of tasks; those without a support set at every place of their panel."""
    found = [record for record in records if record.status == "ok" and record.value is not None]
    places: dict[str, dict[Any, None]] = {}
    for record in found:
        if record.spec.shots != 0:
            places.setdefault(record.spec.task, {})[x(record)] = None
    for record in sorted(found, key=lambda one: (one.spec.task, one.spec.shots == 0, line(one), x(one))):
        score = (record.value or 0.0, record.ci_low, record.ci_high)
        at = places.get(record.spec.task, {}) if record.spec.shots == 0 else [x(record)]
        for place in sorted(at):
            yield Point(record.spec.task, line(record), place, *score)


def _method(record: Record) -> str:
    return record.spec.method


def _at_shots(record: Record) -> str:
    if record.spec.shots == 0:
        return record.spec.method
    return shots_text(record.spec.shots)


def _field(name: str) -> Callable[[Record], float]:
    return lambda record: float(record.spec.config.get(name, 0.0))


def scaling(records: Sequence[Record]) -> go.Figure:
    """Milliseconds of a query, state and seconds of adapting against the number of stored examples."""
    panels = {
        "query, ms": lambda costs: costs.query_milliseconds,
        "state, MiB": lambda costs: costs.state_mb,
        "adapt, s": lambda costs: costs.adapt.seconds,
    }
    return chart(_measured(records, panels), "stored examples", None, log_x=True, log_y=True)


def contexts(records: Sequence[Record]) -> go.Figure:
    """Milliseconds of a query, MiB of peak memory and seconds of adapting against the number of labelled examples."""
    panels = {
        "query, ms": lambda costs: costs.query_milliseconds,
        "peak memory, MiB": lambda costs: costs.peak_memory_mb,
        "adapt, s": lambda costs: costs.adapt.seconds,
    }
    adapted = [record for record in records if record.spec.shots != 0]
    return chart(_measured(adapted, panels), "labelled examples", None, log_x=True, log_y=True)


def _measured(records: Sequence[Record], panels: Mapping[str, Callable[[Any], float]]) -> list[Point]:
    """Costs of records against their numbers of examples, by panels."""
    measured = [(record, record.costs) for record in records if record.status == "ok" and record.costs is not None]
    return [
        Point(panel, name_at_site(record.spec.method, record.spec.config), costs.n_support, value(costs))
        for panel, value in panels.items()
        for record, costs in sorted(measured, key=lambda one: (one[0].spec.method, one[1].n_support))
    ]


def by_shots(records: Sequence[Record]) -> go.Figure:
    """Scores against the number of shots."""
    return chart(_scored(records, _method, lambda record: record.spec.shots), "shots", "score, %", log_x=True)


def by_prior(records: Sequence[Record]) -> go.Figure:
    """Scores against the strength of the prior, whose values stand at equal distances."""
    points = list(_scored(records, _at_shots, _field("prior_strength")))
    figure = chart([_named(point) for point in points], "prior strength N0", "score, %")
    order = [f"{place:g}" for place in sorted({float(point.x) for point in points})]
    return figure.update_xaxes(type="category", categoryorder="array", categoryarray=order)


def _named(point: Point) -> Point:
    return Point(point.panel, point.line, f"{float(point.x):g}", point.y, point.low, point.high)


def by_alpha(records: Sequence[Record]) -> go.Figure:
    """Scores against the exponent of the cut-off."""
    return chart(_scored(records, _at_shots, _field("alpha")), "alpha", "score, %")


def by_mix(records: Sequence[Record]) -> go.Figure:
    """Scores against the share of the output memory, without middle memories."""
    alone = [record for record in records if record.spec.config.get("readouts") is None]
    return chart(_scored(alone, _at_shots, _field("output_mix")), "output mix", "score, %")


def recall(records: Sequence[Record]) -> go.Figure:
    """Accuracy against the number of stored pairs, with the capacity law."""

    def pairs(record: Record) -> int:
        return int(record.spec.task.partition(":")[2] or 256)

    def line(record: Record) -> str:
        decay = record.spec.config.get("decay")
        return record.spec.method if decay is None else f"{record.spec.method}, decay {decay:g}"

    found = sorted((record for record in records if record.value is not None), key=pairs)
    points = [
        Point("recall", line(record), pairs(record), record.value or 0.0, record.ci_low, record.ci_high)
        for record in found
    ]
    law = [Point("recall", LAW, count, 100 * hebbian_accuracy(count, DIM, WAYS, NOISE))
           for count in dict.fromkeys(map(pairs, found))]  # fmt: skip
    return chart([*sorted(points, key=lambda point: point.line), *law], "stored pairs", "accuracy, %", log_x=True)


def networks(path: Path) -> go.Figure:
    """Errors of recurrent networks against training steps, a panel for each number of units.

    Args:
        path: Results of examples/fast_weights_rnn.py.

    Returns:
        The figure, with the means over seeds.
    """
    kept = json.loads(path.read_text(encoding="utf-8")).values()
    points = [
        Point(f"{one['units']} units", one["arm"], step, sum(errors) / len(errors), min(errors), max(errors))
        for one in sorted(kept, key=lambda one: one["units"])
        for step, errors in one["curve"]
    ]
    return chart(points, "steps", "errors, %")


OF_SUITES: Mapping[str, tuple[str, Callable[[Sequence[Record]], go.Figure]]] = {
    "paper_scaling_small": ("paper-scaling.svg", scaling),
    "paper_longicl_small": ("paper-contexts.svg", contexts),
    "paper_nshot_small": ("paper-shots.svg", by_shots),
    "ablation_prior_small": ("paper-prior.svg", by_prior),
    "ablation_alpha_small": ("paper-alpha.svg", by_alpha),
    "ablation_inside_small": ("paper-mix.svg", by_mix),
    "recall": ("recall.svg", recall),
    "needle_small": ("needles.svg", learning_figures.needles),
    "needle_long": ("needles-long.svg", learning_figures.needles),
    "sequence_small": ("sequences.svg", learning_figures.forgetting),
    "sequence_inside": ("sequences-inside.svg", learning_figures.forgetting),
    "fast_slow_small": ("fast-slow.svg", learning_figures.cycles),
}
"""Files and figures of suites."""
NETWORKS = "fast-weights-rnn.svg"
