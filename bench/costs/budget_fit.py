"""Fitting a run to its budget: limits of the method, number of steps, number of parameters."""

from bench.contracts import (
    Backbone,
    GradientMethod,
    Limits,
    MethodConfig,
    ProblemShape,
)
from bench.data.batches import EpisodeGroup
from bench.data.episodes import PADDING
from bench.engine.adapt import GroupResult
from bench.meters.memory import MIB
from bench.spec.budget import Budget, Violation
from bench.spec.costs import StageCosts


def limits_of(budget: Budget) -> Limits:
    """What a method itself is told of a budget."""
    return Limits(None if budget.state_mb is None else int(budget.state_mb * MIB), budget.tokens)


def sized(
    method: type[GradientMethod], config: MethodConfig, backbone: Backbone, shape: ProblemShape, limit: int
) -> tuple[MethodConfig, Violation | None]:
    """The config with as many parameters as a limit allows, and what is in the way where none does."""
    field = str(method.sized_by)
    each = method(config.model_copy(update={field: 1}), backbone, shape).trainable_params()
    fitting = limit // each
    if fitting == 0:
        return config, Violation("trainable_params", limit, each)
    most = next(bound.le for bound in type(config).model_fields[field].metadata if hasattr(bound, "le"))
    return config.model_copy(update={field: min(fitting, most)}), None


def _encode_flops(encode: StageCosts, group: EpisodeGroup) -> float:
    """Operations of encoding the support set."""
    n_support, n_queries = _sizes(group)
    return (encode.flops or 0) * n_support / max(1, n_support + n_queries)


def _steps_within(budget: Budget, counted: GroupResult, encode: StageCosts, group: EpisodeGroup) -> int | None:
    """Optimizer steps that limits of steps and operations leave; None for all of them."""
    found = [budget.steps] if budget.steps else []
    if budget.flops and counted.steps:
        each = counted.step_flops or counted.adapt_flops
        once = counted.adapt_flops - each * counted.steps + _encode_flops(encode, group)
        found.append(max(0, int((budget.flops - once) // max(1, each))))
    return min(found) if found else None


def _sizes(group: EpisodeGroup) -> tuple[int, int]:
    return int((group.episodes.support != PADDING).sum()), int((group.episodes.query != PADDING).sum())
