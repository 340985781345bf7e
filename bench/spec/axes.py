"""Axes of cost: one row of a table for each figure of a run's costs.

Budgets, leaderboards, pages, exports, trackers and checks are generated from it, so that a new axis is a new row.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bench.spec.costs import Costs, StageCosts


@dataclass(frozen=True)
class CheckRule:
    """Comparison of a cost with its baseline in ``bench check``.

    Attributes:
        name: Name of the check in reports.
        least_ratio: Growth that is never a regression, whatever the spread, as a share.
        least_change: The same as a difference, in the axis's unit.
        once: The least ratio of a cost that was measured once for all seeds: its spread between processes is not
            recorded.
        stage: The stage with the repeats of the cost; None for costs without repeats.
    """

    name: str
    least_ratio: float
    least_change: float
    once: float
    stage: Callable[[Costs], StageCosts] | None = None


@dataclass(frozen=True)
class Axis:
    """One figure of a run's costs.

    Attributes:
        name: Name of the axis in budgets, and of its field wherever no other is given.
        unit: Unit; empty for counts.
        description: The measured quantity, without a full stop.
        of_costs: The figure of one run; None where it was not counted.
        limit: Type of a budget's limits on it; None where no budget can limit it.
        holdable: Whether a limit is held while a run is in progress; others are fitted before, or measured after.
        matchable: Whether a limit can be another method's cost.
        whole: Whether it is a count, equal for all seeds; others are medians over seeds.
        title: Heading in tables, without the unit; empty where no table shows it.
        in_table: Whether terminal and Markdown tables show it.
        on_page: Whether the page's table shows it.
        front: Name of the Pareto front of score against this cost; empty where there is none.
        row: Field of leaderboard rows and their CSV and JSON; None for ``name``, empty for no field.
        export: Column of ``bench records export``; likewise.
        tracker: Name in trackers; None for ``costs/NAME``, empty where it is not logged.
        tracker_per: Number of the axis's units in one unit of the tracker.
        check: Rule of ``bench check``; None where the cost is not checked.
    """

    name: str
    unit: str
    description: str
    of_costs: Callable[[Costs], float | None]
    limit: type[int] | type[float] | None = None
    holdable: bool = False
    matchable: bool = True
    whole: bool = False
    title: str = ""
    in_table: bool = False
    on_page: bool = False
    front: str = ""
    row: str | None = None
    export: str | None = None
    tracker: str | None = None
    tracker_per: float = 1
    check: CheckRule | None = None

    @property
    def row_field(self) -> str:
        """Field of leaderboard rows; empty for none."""
        return self.name if self.row is None else self.row

    @property
    def export_field(self) -> str:
        """Column of exports; empty for none."""
        return self.name if self.export is None else self.export

    @property
    def tracker_name(self) -> str:
        """Name in trackers; empty for none."""
        return f"costs/{self.name}" if self.tracker is None else self.tracker

    @property
    def heading(self) -> str:
        """Title and unit, as tables head a column."""
        return f"{self.title} {self.unit}".rstrip()


# Times below a millisecond and memory below some pages are noise of the system more than of the code: CheckRule's
# least changes leave them out.
AXES = (
    Axis(
        "encode_seconds", "s", "seconds of encoding the support set and the queries",
        lambda costs: costs.encode.seconds, title="encode", in_table=True, tracker="",
        check=CheckRule("encode", 0.1, 0.001, 0.3, lambda costs: costs.encode),
    ),
    Axis(
        "adapt_seconds", "s", "seconds of the adapt stage",
        lambda costs: costs.adapt.seconds, limit=float, holdable=True, title="adapt", in_table=True, on_page=True,
        tracker="", check=CheckRule("adapt", 0.1, 0.001, 0.3, lambda costs: costs.adapt),
    ),
    Axis(
        "adapt_seconds_spread", "s", "interquartile range of the adapt stage's repeats",
        lambda costs: costs.adapt.seconds_spread, export="", tracker="",
    ),
    Axis(
        "query_stage_seconds", "s", "seconds of the query stage over all queries of an episode",
        lambda costs: costs.query.seconds, row="", export="query_seconds", tracker="",
        check=CheckRule("query", 0.1, 0.001, 0.3, lambda costs: costs.query),
    ),
    Axis(
        "time_to_first_query", "s",
        "seconds until the first query can be answered: the support set encoded, the method adapted",
        lambda costs: costs.time_to_first_query, title="first answer", on_page=True, front="time",
        tracker="seconds/to_first_query",
    ),
    Axis(
        "seconds_per_query", "s", "seconds per query, from its raw input",
        lambda costs: costs.seconds_per_query, limit=float, row="query_seconds", tracker="",
    ),
    Axis(
        "query_milliseconds", "ms", "milliseconds per query, its features given",
        lambda costs: costs.query_milliseconds, limit=float, holdable=True, title="query", in_table=True, on_page=True,
        tracker="seconds/per_query", tracker_per=1000,
    ),
    Axis(
        "peak_memory_mb", "MB", "peak memory of all stages above the baseline, in MiB",
        lambda costs: costs.peak_memory_mb, limit=float, holdable=True, title="peak", in_table=True, on_page=True,
        front="memory", tracker="memory/peak_mb", check=CheckRule("peak memory", 0.1, 2.0, 0.3),
    ),
    Axis(
        "state_mb", "MB", "memory that must be kept to answer the next query, in MiB",
        lambda costs: costs.state_mb, limit=float, title="state", in_table=True, on_page=True,
        tracker="memory/state_mb", check=CheckRule("state", 0.05, 0.01, 0.05),
    ),
    Axis(
        "optimizer_mb", "MB", "memory that the optimizer keeps beside the parameters, in MiB",
        lambda costs: costs.optimizer_mb, tracker="memory/optimizer_mb",
    ),
    Axis(
        "trainable_params", "", "parameters that adapting trains",
        lambda costs: costs.trainable_params, limit=int, whole=True, tracker="params/trainable",
    ),
    Axis("steps", "", "optimizer steps", lambda costs: costs.steps, limit=int, whole=True, tracker="adapt/steps"),
    Axis(
        "tokens", "", "tokens of the support set through a language model",
        lambda costs: costs.tokens, limit=int, holdable=True, whole=True, tracker="adapt/tokens",
    ),
    Axis(
        "flops", "", "operations of encoding the support set and adapting",
        lambda costs: costs.flops, limit=float, whole=True, tracker="flops/to_first_query",
    ),
    # Rows have the number of trials from the config, whatever the status.
    Axis(
        "tuning_trials", "", "trials of a search for hyper-parameters",
        lambda costs: costs.tuning_trials, limit=int, matchable=False, whole=True, row="", tracker="tuning/trials",
    ),
)  # fmt: skip
LIMITED = {axis.name: axis for axis in AXES if axis.limit is not None}
"""Axes that a budget can limit, by name."""
