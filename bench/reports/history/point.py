"""Points of a history: one quantity of one row in one checked state."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from bench import registry
from bench.contracts.errors import UsageError
from bench.reports.check_tolerance import CHECKED, sample
from bench.reports.company import company_of
from bench.reports.history.timings import Timing
from bench.reports.row_names import RowKey
from bench.results.grouping import devices, pooled, table_names
from bench.results.record import Record
from bench.results.row_sample import draw_key
from bench.results.scores import row_score
from bench.results.selection import whole_runs
from bench.spec.axes import Axis
from bench.toolkit.files import text_hash

Kind = Literal["score", "cost"]


@dataclass(frozen=True)
class State:
    """A checked state of a project.

    Attributes:
        id: Hash of the commit and of its records.
        commit: Its commit.
        date: Its time, in UTC, as text that sorts by time.
        machine: Model of the device that most costs were measured on.
        host: Name of the machine, where the records have it.
    """

    id: str
    commit: str
    date: str
    machine: str
    host: str


@dataclass(frozen=True)
class Point:
    """A quantity of a row in a state; a line of the file.

    Attributes:
        state: The state.
        row: The row.
        kind: "score" or "cost".
        quantity: The metric, the checked cost, or "time".
        unit: Its unit.
        value: Mean over episodes of a score, or geometric mean of a cost; None where a run has no score.
        low: Lower end of a score's 95% interval.
        high: Upper end of it.
        spread: Relative standard deviation between the measurements of a cost.
        n: Episodes of a score, or measurements of a cost.
        higher_is_better: Direction.
        least: Change that never counts: in the unit of a score, and as a share of a cost.
        least_change: The same for a cost as a difference, in its unit.
        draw: Hash of the data and the protocol that episodes were drawn from; scores of two are not comparable.
        episodes: Seeds and their numbers of episodes; equal where two states answered the same ones.
        company: Why a time counts as measured in company; empty where it does not.
        status: "ok", or why there is no value.
        reason: Reason of the status.
        records: Ids of the records.
    """

    state: State
    row: RowKey
    kind: Kind
    quantity: str
    unit: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    spread: float = 0.0
    n: int = 0
    higher_is_better: bool = False
    least: float = 0.0
    least_change: float = 0.0
    draw: str = ""
    episodes: str = ""
    company: str = ""
    status: str = "ok"
    reason: str = ""
    records: list[str] = field(default_factory=list)


def points_of(
    records: Sequence[Record], commit: str | None = None, date: str | None = None, timings: Iterable[Timing] = ()
) -> list[Point]:
    """The points of a state.

    Args:
        records: Records of the state.
        commit: Its commit; by default that of the records.
        date: Its time, in ISO 8601; by default that of the latest record.
        timings: Further durations, such as those of ``make perf``.

    Returns:
        The points: a score and the checked costs of each row.

    Raises:
        UsageError: If the records are of several commits or of none, and for a date that is none.
    """
    groups = pooled(whole_runs(records, "a history"))
    name = table_names(group[0] for group in groups)
    used = [record for group in groups for record in group]
    state = _state(used, commit or _commit(used), date)
    points = [
        point for group in groups for point in _row(state, RowKey.of(group[0], name(group[0])), group)
    ]  # fmt: skip
    return points + [
        Point(state, RowKey(timing.name), "cost", "time", timing.unit, timing.value, spread=timing.spread, n=timing.n,
              least=LEAST_TIMING)
        for timing in timings
    ]  # fmt: skip


LEAST_TIMING = 0.1
"""Growth of a further duration that never counts, as a share; that of a run's times is in ``bench.spec.axes``."""


def _row(state: State, row: RowKey, records: list[Record]) -> list[Point]:
    """The points of a row's records of one status."""
    first, ids = records[0], [record.id for record in records]
    if first.status == "skipped":
        return []
    score = row_score(records) if first.status == "ok" else None
    if score is None:
        return [
            Point(state, row, "score", first.metric, "", status=first.status, reason=first.reason, records=ids)
        ]  # fmt: skip
    metric, ends = registry.make_metric(first.metric), score.interval
    draws = sorted(f"{record.spec.seed} x {len(record.episode_scores)}" for record in records)
    points = [
        Point(
            state, row, "score", first.metric, metric.label, score.value, ends.low if ends else None,
            ends.high if ends else None, n=sum(len(record.episode_scores) for record in records),
            higher_is_better=metric.higher_is_better, least=0.5 * 10.0**-metric.decimals,
            draw=text_hash(str(draw_key(first)))[:16], episodes=", ".join(draws), records=ids,
        )
    ]  # fmt: skip
    machine = devices(records)[:1]
    measured = [record for record in records if machine and devices([record]) == machine]
    return points + [point for axis in CHECKED if (point := _cost(state, row, measured, axis)) is not None]


def _cost(state: State, row: RowKey, records: list[Record], axis: Axis) -> Point | None:
    """A checked cost of records of one device; None where it was not measured."""
    found, rule = sample(records, axis), CHECKED[axis]
    if found is None:
        return None
    return Point(
        _on(state, records), row, "cost", rule.name, axis.unit, found.mean, spread=found.spread, n=found.n,
        least=rule.least_ratio, least_change=rule.least_change, company=company_of(records) if rule.stage else "",
        records=[record.id for record in records],
    )  # fmt: skip


def _on(state: State, records: Sequence[Record]) -> State:
    """The state with the device of some of its records."""
    return State(state.id, state.commit, state.date, devices(records)[0], state.host)


def _commit(records: Sequence[Record]) -> str:
    """The commit that records name."""
    named = {str(commit) for record in records if (commit := record.provenance.get("git"))}
    if len(named) != 1:
        found = ", ".join(sorted(named)) or "none"
        raise UsageError(f"a state needs one commit, and its records name {found}; name it with --commit")
    return named.pop()


def _state(records: Sequence[Record], commit: str, date: str | None) -> State:
    finished = sorted(str(record.provenance.get("finished", "")) for record in records)
    when = _utc(date or (finished[-1] if finished else ""))
    content = [f"{record.id} {record.provenance.get('finished', '')}" for record in records]
    hosts = {record.costs.conditions.host for record in records if record.costs and record.costs.conditions}
    machine = next(iter(devices(records)), "")
    return State(text_hash(commit, *sorted(content))[:16], commit, when, machine, ", ".join(sorted(hosts)))


def _utc(text: str) -> str:
    """A time in UTC as text that sorts by time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--date needs a time such as 2026-01-31T12:00:00+00:00, got {text or 'none'}") from None
    return found.astimezone(UTC).isoformat(timespec="seconds")
