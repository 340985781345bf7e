"""A row of a leaderboard, and what rows are compared by."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, create_model

from bench import registry
from bench.results.record import Status
from bench.spec.axes import AXES
from bench.spec.run_spec import Shots
from bench.toolkit.versions import PROTOCOL
from bench.toolkit.visible import LONGEST_CELL, shortened, visible

Text = Annotated[str, AfterValidator(lambda text: visible(shortened(text, LONGEST_CELL)))]
"""Text of a row without what cannot be seen; the record has a long one whole."""


class _RunRow(BaseModel):
    """What a leaderboard shows of a method. Costs are medians over seeds of one episode's cost.

    budget: the requested limits. time_to_first_query: seconds until the first query can be answered, from raw examples;
    query_seconds: of one query, from its raw input. break_even_queries: from how many queries on it costs less time in
    all than the method it is compared with; None where that never comes, or nothing was compared. pareto: whether no
    method of its task and shots is at least as good and cheaper, in time until the first query or in peak memory.

    device: models of the devices that costs were measured on; costs are those of the first of them, which has most
    records. protocol: the harness's, see ``bench.toolkit.versions``; rows of two protocols are not comparable.
    tuning_trials, tuning_seconds: of the search that its config came from, 0 where nobody searched.
    tier: 1 for the best and all that do not differ significantly from it (docs/statistics.md); None where there is
    nothing to compare with, or too few items for any difference. tiers, ranks: the tier, and the ranks that the tests
    leave open, as text; of a method that uses no support set, at each number of shots of the others. too_few: "too few
    to tell", and how many more items would do, where no difference on the board could be significant; else empty.
    value, ci_low and ci_high are in percent for accuracy; None unless the status is ok, the ends of the interval also
    with too few items. shots is 0 for a method that uses no support set. seeds and episodes are counted over all pooled
    records; runs are their ids. ways: classes per episode, queries: of each class; None for all. Rows of other numbers
    answer another question. precision: of the backbone.
    company: why times of a record count as measured in company (docs/budgets.md); empty where none do.
    break_even_company: whether break_even_queries rests on such times.
    class_embeddings: what its class embeddings stand for where they are not those of whole names, and empty elsewhere.
    form: which form of the method it is, where its notes say so, such as "untrained".
    templates: number of templates that the value is the mean over, 1 for the row of a single one; template_low and
    template_high: the lowest and the highest score with one of them; over_templates: the same as text.
    contract: whether the method's code passed the contract suite: "passed", "failed", "not run"; empty where a record
    does not say. transductive: whether an answer depends on the other queries. limit: most queries of a quick look,
    whose rows are of a table of their own; None for whole runs. others: number of further records of the
    same run that are not shown: of earlier versions, or with fewer episodes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # the base itself is never made

    task: Text
    backbone: Text
    method: Text
    config: Text
    budget: Text
    tuning_trials: int
    tuning_seconds: float
    shots: Shots
    seeds: int
    episodes: int
    metric: Text
    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    tier: int | None = None
    tiers: Text = ""
    ranks: Text = ""
    too_few: Text = ""
    protocol: int = PROTOCOL
    device: Text = ""
    break_even_queries: float | None = None
    company: Text = ""
    break_even_company: bool = False
    pareto: Text = ""
    class_embeddings: Text = ""
    form: Text = ""
    templates: int = 1
    template_low: float | None = None
    template_high: float | None = None
    over_templates: Text = ""
    contract: Text = ""
    transductive: bool = False
    limit: int | None = None
    ways: int | None = None
    queries: int | None = None
    precision: Text = "32-true"
    others: int = 0
    status: Status
    reason: Text
    runs: tuple[str, ...]

    @property
    def method_text(self) -> str:
        """The method with the fields that differ from its defaults, as ``method_text`` of a run has it."""
        return f"{self.method} [{self.config}]" if self.config else self.method

    @property
    def full_name(self) -> str:
        """The method with these fields and the budget, by which ``bench compare`` finds the row."""
        return f"{self.method_text} {self.budget}".rstrip()


if TYPE_CHECKING:

    class Row(_RunRow):
        """A row of a leaderboard; besides its own fields it has one for each axis of cost."""

        def __init__(self, **fields: Any) -> None: ...

        def __getattr__(self, field: str) -> float | None: ...

else:
    Row = create_model(
        "Row",
        __base__=_RunRow,
        __doc__=_RunRow.__doc__,
        __module__=__name__,
        **{axis.row_field: ((int if axis.whole else float) | None, None) for axis in AXES if axis.row_field},
    )


def comparable(row: Row, shots: Shots | None = None) -> tuple[Any, ...]:
    """What rows have in common that are compared with each other.

    Args:
        row: A row.
        shots: Another number of shots; None for the row's own.

    Returns:
        A key.
    """
    return (
        row.task,
        row.backbone,
        row.shots if shots is None else shots,
        row.metric,
        row.protocol,
        row.ways,
        row.queries,
    )


def cost_device(row: Row) -> str:
    """The device that a row's costs are of: those of two models are not comparable.

    Args:
        row: A row.

    Returns:
        Its model.
    """
    return row.device.partition("; ")[0]


def scorer() -> Callable[[Row], float]:
    """A function from a row to its score, larger for better, that looks up each metric once."""
    metric = cache(registry.make_metric)
    return lambda row: 0.0 if row.value is None else metric(row.metric).sort_score(row.value)


def has_score(row: Row) -> bool:
    """Whether a row takes part in comparisons of scores.

    Args:
        row: A row.

    Returns:
        Whether its runs are complete and have a score.
    """
    return row.status == "ok" and row.value is not None
