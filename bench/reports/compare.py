"""Paired differences of two methods, one for each task and number of shots."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench import registry
from bench.contracts import Metric
from bench.contracts.errors import UsageError
from bench.contracts.site import name_at_site
from bench.reports.known_boards import KnownBoards
from bench.reports.named_rows import named_rows, row_name
from bench.results.grouping import pooled, table_names
from bench.results.record import Record
from bench.results.row_sample import Find
from bench.results.run_texts import shots_rank, task_text
from bench.results.selection import of_tasks
from bench.results.shared_episodes import items_text, missing_items, shared_text, with_detectable
from bench.spec.run_spec import Shots
from bench.stats.comparison import Paired
from bench.stats.paired import holm


@dataclass(frozen=True)
class Difference:
    """Method a minus method b on one task.

    Attributes:
        task: The task.
        backbone: The backbone.
        shots: Support examples per class.
        metric: The metric of both.
        paired: Scores over the shared episodes, their difference and its test.
        adjusted_p: By Holm, for all differences of the table.
        shared: How many episodes are shared; empty where all are.
        detectable: Smallest difference that such a comparison finds with a power of 80%; None where it is unknown.
        records: A record of each, by which their costs can be measured again.
        n_tests: Differences of the table.
        more: How many more items would tell the two apart; empty where they are, or do not differ at all.
    """

    task: str
    backbone: str
    shots: Shots
    metric: Metric
    paired: Paired
    adjusted_p: float
    shared: str
    detectable: float | None
    records: tuple[Record, Record]
    n_tests: int
    more: str

    @property
    def verdict(self) -> Literal["a", "b", "none", "too few"]:
        """Which of the two is better; "none" without a significant difference, "too few" where none is possible."""
        if not self.paired.is_significant(self.adjusted_p):
            return "too few" if self.paired.has_too_few(self.n_tests) else "none"
        return "a" if (self.paired.difference > 0) == self.metric.higher_is_better else "b"


def differences(
    records: Sequence[Record],
    a: str,
    b: str,
    find: Find,
    tasks: Sequence[str] = (),
    shots: Sequence[Shots] = (),
    tuned: bool = False,
    known: KnownBoards | None = None,
) -> list[Difference]:
    """Compare methods a and b wherever both have scores on shared episodes.

    A method without a support set is compared at all numbers of shots.

    Args:
        records: Records of any runs.
        a: Name of a method as a leaderboard has it; with settings in brackets, and the budget after them, where it was
            run in several ways.
        b: Name of the method to compare it with.
        find: Looks up the predictions of a record.
        tasks: Only these tasks; all where none is named.
        shots: Only these numbers of shots; all where none is named.
        tuned: Take the rows whose config a search found for their task and number of shots.
        known: Comparisons of the store that need not be computed.

    Returns:
        A difference for each task, backbone and number of shots.

    Raises:
        UsageError: For unknown names, names that mean several rows, and methods that share nothing.
    """
    shown = {task_text(record.spec) for record in of_tasks(records, tasks)}
    groups = pooled(records)
    if tuned:
        groups = _tuned(groups)
    groups = [group for group in groups if group[0].status == "ok" and group[0].episode_scores]
    name = table_names(group[0] for group in groups)
    wanted: list[tuple[Shots, list[Record], list[Record]]] = []
    for own in named_rows(groups, a):
        for other in named_rows(groups, b):
            spec = own[0].spec
            at_shots = _shots(spec.shots, other[0].spec.shots)
            chosen = (not shots or at_shots in shots) and task_text(spec) in shown
            if at_shots is not None and chosen and spec.backbone == other[0].spec.backbone:
                wanted.append((at_shots, own, other))
    pairs = [(own, other) for _, own, other in wanted]
    compared = [with_detectable(*pair, find) for pair in pairs] if known is None else known.compared(pairs, find)
    made: dict[tuple[Any, ...], tuple[Shots, list[Record], list[Record], Paired, float | None]] = {}
    for (at_shots, own, other), found in zip(wanted, compared, strict=True):
        if found is None:
            continue
        spec = own[0].spec
        key = (name(own[0]), spec.backbone, shots_rank(at_shots), spec.ways or 0, spec.queries or 0)
        if key in made:
            raise _several(name(own[0]), [made[key][1], own, other])
        made[key] = at_shots, own, other, *found
    if not made:
        there = " there" if tasks or shots else ""
        raise UsageError(
            f"{a} and {b} have no episodes in common{there}; run both on the same task with the same --seeds, "
            "--queries and --ways"
        )
    ordered = [made[key] for key in sorted(made)]
    adjusted = holm([found.p_value for *_, found, _ in ordered])
    return [
        Difference(
            name(own[0]),
            own[0].spec.backbone,
            at_shots,
            registry.make_metric(own[0].metric),
            found,
            p_value,
            shared_text(own, other),
            detectable,
            (own[0], other[0]),
            len(ordered),
            "" if found.is_significant(p_value) else _more(found, own, len(ordered)),
        )
        for (at_shots, own, other, found, detectable), p_value in zip(ordered, adjusted, strict=True)
    ]


def _more(found: Paired, records: Sequence[Record], n_tests: int) -> str:
    """How many more items would tell two methods apart."""
    missing = missing_items(found, records, n_tests)
    return "" if missing is None else items_text(*missing)


def _tuned(groups: list[list[Record]]) -> list[list[Record]]:
    """Without untuned rows of what has tuned ones, whatever became of these. Raises UsageError if there are none."""

    def place(group: list[Record]) -> tuple[Any, ...]:
        spec = group[0].spec
        return task_text(spec), spec.backbone, spec.shots, name_at_site(spec.method, spec.config)

    searched = {place(group) for group in groups if group[0].spec.tuning}
    if not searched:
        raise UsageError("--tuned needs runs that were tuned, got none; run with --tune-all N or --config first")
    return [group for group in groups if group[0].spec.tuning or place(group) not in searched]


def _shots(one: Shots, other: Shots) -> Shots | None:
    """The number of shots that two rows are compared at; None where they differ."""
    if one == 0 or other == 0:
        return other if one == 0 else one
    return one if one == other else None


def _several(task: str, groups: list[list[Record]]) -> UsageError:
    """The error for a name that means several rows of a task."""
    names = dict.fromkeys(row_name(group[0]) for group in groups)
    return UsageError(f"{task} has several rows to compare; name two of them: {', '.join(map(repr, names))}")
