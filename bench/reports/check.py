"""Regressions since a baseline: missing and failed runs, lower scores, higher costs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench import registry
from bench.contracts.errors import UsageError
from bench.reports.check_tolerance import CHECKED, Sample, sample, tolerance, usual_spread
from bench.reports.company import TIME_UNITS, company_of
from bench.reports.kinds import Only
from bench.reports.row_names import RowKey, row_names
from bench.results.grouping import current, data_of, devices, run_key, table_names
from bench.results.record import Record
from bench.results.row_sample import Find
from bench.results.run_texts import task_text
from bench.results.selection import whole_runs
from bench.results.shared_episodes import paired, shared_text
from bench.spec.axes import Axis
from bench.stats.comparison import Paired
from bench.stats.paired import holm
from bench.toolkit.counted import counted

Verdict = Literal["regression", "ok", "better", "new", "blind"]
"""``blind``: measurements spread so widely that the check could find nothing but a multiple of the cost."""


@dataclass(frozen=True)
class Check:
    """One comparison with the baseline.

    Attributes:
        row: Task, method and shots, and whatever else tells the rows of a task apart.
        what: Compared quantity: runs, status, score or a cost.
        before: Value in the baseline, as text.
        after: Present value, as text.
        verdict: The outcome.
        finding: Reason for the verdict, in one line.
        company: Whether a time was measured in company.
    """

    row: str
    what: str
    before: str
    after: str
    verdict: Verdict
    finding: str
    company: bool = False


@dataclass(frozen=True)
class _Row:
    """A run of the baseline, all its seeds, and the present records of the same run."""

    name: str
    before: list[Record]
    after: list[Record]

    def scored(self) -> tuple[list[Record], list[Record]]:
        before, after = ([one for one in side if one.status == "ok"] for side in (self.before, self.after))
        return before, after


def _rows(records: Iterable[Record], several: bool) -> dict[tuple[Any, ...], list[Record]]:
    """Records by run, and where there are several data sets of one task also by these."""
    by_key: dict[tuple[Any, ...], list[Record]] = {}
    for record in sorted(records, key=lambda record: (run_key(record), record.spec.seed)):
        by_key.setdefault((*run_key(record), data_of(record) * several), []).append(record)
    return by_key


def _have_several_data_sets(records: Sequence[Record]) -> bool:
    runs = {(run_key(record), data_of(record)) for record in records}
    return len({run for run, _ in runs}) < len(runs)


def _names(records: Iterable[Record], task: Callable[[Record], str]) -> Callable[[Record], str]:
    """Names of the rows of some records, as a function of a record."""
    names = row_names(RowKey.of(record, task(record)) for record in records)
    return lambda record: names[RowKey.of(record, task(record))]


def checks(baseline: Sequence[Record], now: Sequence[Record], find: Find, only: Only | None = None) -> list[Check]:
    """All comparisons with a baseline, regressions first.

    Args:
        baseline: Records of the baseline.
        now: Present records.
        find: Function that returns the predictions of a record of either.
        only: "scores" or "costs"; runs are checked in any case.

    Returns:
        The comparisons.

    Raises:
        UsageError: If the two have no run in common, or no episode.
    """
    baseline, now = whole_runs(baseline, "a baseline"), whole_runs(now, "a check")
    sides = current(baseline), current(now)
    several = any(map(_have_several_data_sets, sides))
    shown = [*sides[0], *sides[1]]
    name = _names(shown, table_names(shown if several else []))
    before, after = (_rows(side, several) for side in sides)
    if not before.keys() & after.keys():
        raise UsageError(
            f"the baseline has no run in common with the current records: it has {_contents(baseline)}, they have "
            f"{_contents(now)}; run the same suite on the same device, or make a new baseline with --update"
        )
    rows = [_Row(name(before[key][0]), before[key], after.get(key, [])) for key in before]
    found = [check for row in rows for check in _runs(row)]
    if only != "costs":
        found += _scores(rows, find)
    if only != "scores":
        measured = [each for row in rows if (each := _measured_alike(row)) is not None]
        found += [check for axis in CHECKED for check in _costs(measured, axis, len(CHECKED) * len(rows))]
        found += [check for row in rows if (check := _other_device(row)) is not None]
    found += [
        Check(name(after[key][0]), "run", "-", counted(len(after[key]), "run"), "new", "not in the baseline")
        for key in after.keys() - before.keys()
    ]
    order: dict[Verdict, int] = {"regression": 0, "better": 1, "new": 2, "blind": 3, "ok": 4}
    return sorted(found, key=lambda check: (order[check.verdict], check.row))


def _contents(records: Sequence[Record]) -> str:
    tasks = sorted({task_text(record.spec) for record in records})
    devices = sorted({str(record.identity.get("device", "no device")) for record in records})
    return f"{', '.join(tasks)} on {', '.join(devices)}"


def _runs(row: _Row) -> list[Check]:
    """Missing seeds, and seeds that had a score and have none now."""
    now = {record.spec.seed: record for record in row.after}
    missing = [record.spec.seed for record in row.before if record.spec.seed not in now]
    broken = [
        now[record.spec.seed]
        for record in row.before
        if record.status == "ok" and record.spec.seed in now and now[record.spec.seed].status != "ok"
    ]
    before = counted(len(row.before), "run")
    found = []
    if missing:
        finding = f"missing: {_seeds(missing)}; run them, or take them out of the baseline with --update"
        found.append(Check(row.name, "run", before, counted(len(row.after), "run"), "regression", finding))
    if broken:
        finding = f"{broken[0].status}, {_seeds([record.spec.seed for record in broken])}: {broken[0].reason}"
        found.append(Check(row.name, "status", "ok", broken[0].status, "regression", finding))
    return found or [Check(row.name, "run", before, counted(len(row.after), "run"), "ok", "as before")]


def _seeds(seeds: list[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _scores(rows: list[_Row], find: Find) -> list[Check]:
    """Checks of scores by the paired test on shared episodes, adjusted over all rows."""
    compared: list[tuple[_Row, Record, Paired]] = []
    apart: list[Check] = []
    for row in rows:
        before, after = row.scored()
        if not before or not after:
            continue
        found = paired(after, before, find)
        if found is not None:
            compared.append((row, after[0], found))
        else:
            finding = (
                "no episodes in common: data, protocol, --seeds, --queries or --ways changed; "
                "make a new baseline with --update"
            )
            apart.append(Check(row.name, "score", "-", "-", "regression", finding))
    if apart and not compared:
        raise UsageError(f"the baseline and the current records have {apart[0].finding}")
    adjusted = holm([found.p_value for *_, found in compared])
    return apart + [_score(*each, p, len(compared)) for each, p in zip(compared, adjusted, strict=True)]


def _score(row: _Row, record: Record, found: Paired, adjusted_p: float, n_tests: int) -> Check:
    metric = registry.make_metric(record.metric)
    verdict: Verdict = "ok"
    if found.is_significant(adjusted_p):
        verdict = "better" if (found.difference > 0) == metric.higher_is_better else "regression"
    difference, low, high = map(metric.difference_text, (found.difference, found.interval.low, found.interval.high))
    finding = f"{difference} ({low} to {high}), p {adjusted_p:.2g} by {found.test} on {found.n_units} {found.unit}"
    if not found.is_significant(adjusted_p) and found.has_too_few(n_tests):
        finding += "; too few to tell"
    if shared := shared_text(*reversed(row.scored())):
        finding += f"; {shared}"
    finding += f"; {metric.label}"
    return Check(row.name, record.metric, metric.text(found.b), metric.text(found.a), verdict, finding)


def _shared_devices(row: _Row) -> list[str]:
    """Models of devices that costs were measured on both before and after, by number of records."""
    before, after = row.scored()
    both = set(devices(before)) & set(devices(after))
    return [device for device in devices([*before, *after]) if device in both]


def _measured_alike(row: _Row) -> _Row | None:
    """The row with its records of one model of device; None if no model has records of both sides."""
    shared = _shared_devices(row)[:1]
    sides = ([one for one in side if devices([one]) == shared] for side in row.scored())
    return _Row(row.name, *sides) if shared else None


def _other_device(row: _Row) -> Check | None:
    """A note that costs are not compared, because the two sides were measured on different devices."""
    before, after = map(devices, row.scored())
    if not before or not after or _shared_devices(row):
        return None
    finding = "not comparable: devices differ; make a new baseline with --update"
    return Check(row.name, "costs", ", ".join(before), ", ".join(after), "new", finding)


def _costs(rows: list[_Row], axis: Axis, n_checks: int) -> list[Check]:
    """Checks of costs by the ratio of means, with the ratio that their spread allows."""
    measured: list[tuple[_Row, Sample, Sample]] = []
    for row in rows:
        before, after = (sample(side, axis) for side in row.scored())
        if before is not None and after is not None:
            measured.append((row, before, after))
    usual = usual_spread([each for _, *pair in measured for each in pair])
    return [_cost(row, axis, before, after, usual, n_checks) for row, before, after in measured]


def _cost(row: _Row, axis: Axis, before: Sample, after: Sample, usual: float, n_checks: int) -> Check:
    ratio = after.mean / before.mean
    allowed = tolerance(axis, before, after, usual, n_checks)
    verdict: Verdict = "regression" if ratio > allowed.ratio else "better" if ratio < 1 / allowed.ratio else "ok"
    finding = f"ratio {ratio:.2f}; {allowed.text}"
    if verdict == "ok" and allowed.is_blind:
        verdict = "blind"
    sides = {"before": row.before, "now": row.after} if axis.unit in TIME_UNITS else {}
    company = [f"{when} ({reason})" for when, records in sides.items() if (reason := company_of(records))]
    if company:
        finding += f"; measured in company {' and '.join(company)}, so measure again with bench run --remeasure"
    return Check(
        row.name,
        CHECKED[axis].name,
        f"{before.mean:.4g} {axis.unit}",
        f"{after.mean:.4g} {axis.unit}",
        verdict,
        finding,
        bool(company),
    )
