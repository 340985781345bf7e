"""Budgets: limits by axis, their text form, and their comparison with measured costs; docs/budgets.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from bench.contracts.errors import BenchError, UsageError, shown, suggestion
from bench.contracts.site import name_at_site
from bench.spec.axes import LIMITED, Axis
from bench.spec.costs import Costs, StageCosts
from bench.spec.tuning import Tuning

MOST = 10**24
"""Largest limit on any axis; it stands for none long before."""


class _Limits(BaseModel):
    """Largest cost of one episode of a run on each axis; None for no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def limits(self) -> dict[str, float]:
        """Limits by axis."""
        return {axis: limit for axis, limit in vars(self).items() if limit is not None}

    def held(self) -> dict[str, float]:
        """The limits that are held while a run is in progress, by axis."""
        return {axis: limit for axis, limit in self.limits().items() if LIMITED[axis].holdable}

    def __str__(self) -> str:
        return ",".join(f"{axis}={limit:g}" for axis, limit in self.limits().items())

    def with_match(self, matched: Self) -> Self:
        """This budget together with one from a match.

        Args:
            matched: A budget on other axes.

        Returns:
            The limits of both.
        """
        return type(self)(**self.limits(), **matched.limits())


def _limit_field(axis: Axis) -> tuple[Any, Any]:
    """Type and default of an axis's limit, as a field of a model."""
    text = axis.description[0].upper() + axis.description[1:]
    return axis.limit | None, Field(default=None, gt=0, le=MOST, description=f"{text}.")  # type: ignore[operator]


if TYPE_CHECKING:

    class Budget(_Limits):
        """A budget; its fields are the names of the axes."""

        def __init__(self, **limits: float | None) -> None: ...

        def __getattr__(self, axis: str) -> Any: ...

else:
    Budget = create_model(
        "Budget",
        __base__=_Limits,
        __doc__=_Limits.__doc__,
        __module__=__name__,
        **{axis.name: _limit_field(axis) for axis in LIMITED.values()},
    )

MATCHED = ("adapt_seconds", "state_mb")
"""Axes of a match without a list of axes."""
MATCHABLE = tuple(axis.name for axis in LIMITED.values() if axis.matchable)


def budget_of(limits: Mapping[str, Any], what: str) -> Budget:
    """A budget from a user's limits.

    Args:
        limits: Limits by axis.
        what: Name of the budget, for messages.

    Returns:
        The budget.

    Raises:
        UsageError: For an unknown axis, a limit of 0 or less, a contradiction.
    """
    for axis in limits:
        _require_axis(axis, tuple(LIMITED), what)
    try:
        budget = Budget.model_validate(dict(limits))
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"{what}: {first['loc'][0]} needs a number above 0, whole where it counts, got {shown(first['input'])}; "
            "leave it out for no limit"
        ) from None
    if budget.state_mb and budget.peak_memory_mb and budget.state_mb > budget.peak_memory_mb:
        raise UsageError(
            f"{what}: state_mb={budget.state_mb:g} contradicts peak_memory_mb={budget.peak_memory_mb:g}: "
            "the state is part of the memory; lower the first or raise the second"
        )
    if budget.steps and budget.tokens and budget.steps > budget.tokens:
        raise UsageError(
            f"{what}: steps={budget.steps} contradicts tokens={budget.tokens}: a step reads a token or more; "
            "lower the first or raise the second"
        )
    return budget


def _require_axis(axis: str, known: Sequence[str], what: str) -> None:
    if axis not in known:
        raise UsageError(f"{what} has no axis {shown(axis, 80)}; {suggestion(axis, known)}")


class Match(BaseModel):
    """A budget equal to the costs of another method.

    Attributes:
        method: Name of that method, the reference.
        axes: Axes of the budget.
        config: Fields of the reference's config.
        tuning: The search that found them, if any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    axes: tuple[str, ...] = MATCHED
    config: dict[str, Any] = {}
    tuning: Tuning | None = None

    def __str__(self) -> str:
        return f"match {name_at_site(self.method, self.config)}:{','.join(self.axes)}"

    def budget(self, reference: Costs, reads_features: bool) -> Budget:
        """The reference's costs as limits.

        A method that reads features starts after the support set is encoded, a method that reads inputs encodes it
        while adapting. For both to start from raw examples, the time of encoding is added to the limit of the latter.
        Time is the upper quartile of the reference's repeats, as repeated times are never equal.

        Args:
            reference: Costs of the reference.
            reads_features: Whether the method under this budget reads features.

        Returns:
            The budget.

        Raises:
            UsageError: If the reference costs nothing or was not counted on an axis.
        """
        limits: dict[str, float] = {}
        for axis in self.axes:
            measured = LIMITED[axis].of_costs(reference)
            if axis == "adapt_seconds" and measured:
                measured = reference.adapt.seconds if reads_features else reference.time_to_first_query
                measured += reference.adapt.seconds_spread / 2
            if not measured:
                why = "it was not counted" if measured is None else "it costs 0"
                raise UsageError(f"{self.method} cannot be matched on {axis}: {why}")
            limits[axis] = measured
        return Budget(**limits)


def parse_match(text: str) -> Match:
    """Parse ``METHOD`` or ``METHOD:AXIS,AXIS``.

    Args:
        text: For example ``faast:adapt_seconds,state_mb``.

    Returns:
        The match, without a config.

    Raises:
        UsageError: For another form or an unknown axis.
    """
    method, colon, listed = text.partition(":")
    axes = tuple(part.strip() for part in listed.split(",")) if colon else MATCHED
    for axis in axes:
        _require_axis(axis, MATCHABLE, "--match")
    if not method:
        raise UsageError(f"--match needs METHOD or METHOD:AXIS,AXIS, such as faast:adapt_seconds; got {shown(text)}")
    return Match(method=method, axes=axes)


def budget_grid(
    limits: Mapping[str, Any], grid: Mapping[str, Sequence[Any]], match: Match | None, what: str
) -> list[Budget]:
    """The budgets at all points of a grid of limits.

    Args:
        limits: Limits by axis that hold at every point.
        grid: Several limits by axis.
        match: The match that holds at every point, if any.
        what: Name of the budget, for messages.

    Returns:
        One budget per point; a single one without a grid.

    Raises:
        UsageError: For an unknown axis, an impossible limit, an axis that is limited twice, a contradiction.
    """
    budgets = []
    for values in product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        if both := sorted(point.keys() & limits.keys()):
            raise UsageError(f"{', '.join(both)} cannot have both a budget and a grid of them; leave one out")
        budget = budget_of({**limits, **point}, what)
        if twice := sorted(budget.limits().keys() & set(match.axes if match else ())):
            raise UsageError(f"a budget and a match may not both limit {', '.join(twice)}; leave it out of one of them")
        budgets.append(budget)
    return budgets


@dataclass(frozen=True)
class Violation:
    """A limit that a run exceeded.

    Attributes:
        axis: Name of the axis.
        limit: The limit, in the axis's unit.
        measured: The measured value.
    """

    axis: str
    limit: float
    measured: float

    def __str__(self) -> str:
        return f"{self.axis} is {_shown(self.measured)}, {_shown(self.limit)} allowed"


def _shown(value: float) -> str:
    """A cost with four digits, or a count, such as one of parameters, with all of its own."""
    return f"{value:,.0f}" if value >= 10_000 and float(value).is_integer() else f"{value:.4g}"


class OverBudgetError(BenchError):
    """A run was stopped because its costs exceeded a limit.

    Attributes:
        violation: The limit, and the cost at that time.
    """

    def __init__(self, violation: Violation) -> None:
        super().__init__(f"stopped: {violation}")
        self.violation = violation


TOLERANCE = 0.01
"""Share by which a measured cost may exceed its limit: stores keep whole items, and repeated times are never equal."""


def violations(budget: Budget, costs: Costs, step_seconds: float = 0.0) -> list[Violation]:
    """Exceeded limits of a budget.

    Args:
        budget: The budget.
        costs: Measured costs.
        step_seconds: The longest optimizer step but the first. It is added to the limit of ``adapt_seconds``, since a
            method is stopped between two steps; not for a method of a single step.

    Returns:
        The violations, in the order of the axes.
    """
    found = []
    for axis, limit in budget.limits().items():
        measured = LIMITED[axis].of_costs(costs)
        allowed = limit * (1 + TOLERANCE)
        if axis == "adapt_seconds" and costs.steps > 1:
            allowed += step_seconds
        if measured is not None and measured > allowed:
            found.append(Violation(axis, limit, measured))
    return found


def require_possible(budget: Budget, own: StageCosts, reads_features: bool, what: str) -> None:
    """Require that a budget is not below the costs of the backbone, which every method has.

    Args:
        budget: The budget.
        own: Costs of the backbone: of everything that it encodes for a method that reads features, of one item for any
            other.
        reads_features: Whether the method reads features.
        what: Name of the backbone's work, for messages.

    Raises:
        UsageError: If it is below; the message has the least possible limit.
    """
    least: dict[str, float] = {"peak_memory_mb": own.peak_memory_mb}
    if not reads_features:
        least |= {"query_milliseconds": 1000 * own.seconds, "seconds_per_query": own.seconds}
        least |= {"adapt_seconds": own.seconds, "flops": own.flops or 0}
    for axis, limit in budget.limits().items():
        if limit < least.get(axis, 0):
            raise UsageError(
                f"a budget of {axis}={limit:g} is below what {what} itself costs, {least[axis]:.3g}; "
                "no method can keep to it, so raise it"
            )
