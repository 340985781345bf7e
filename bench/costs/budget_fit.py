"""Fitting a run to its budget: limits of the method, number of parameters, number of steps."""

from typing import get_args

from pydantic.fields import FieldInfo

from bench.contracts import Backbone, GradientMethod, Limits, MethodConfig, ProblemShape
from bench.data.episodes import PADDING, Episodes
from bench.engine.group_result import GroupResult
from bench.meters.memory import MIB
from bench.spec.budget import Budget, Violation
from bench.spec.costs import StageCosts
from bench.toolkit.sizing import largest_size


def limits_of(budget: Budget) -> Limits:
    """The part of a budget that a method itself observes."""
    return Limits(None if budget.state_mb is None else int(budget.state_mb * MIB), budget.tokens)


def fit_parameters(
    method: type[GradientMethod], config: MethodConfig, backbone: Backbone, shape: ProblemShape, limit: int
) -> tuple[MethodConfig, Violation | None]:
    """Set the size of a method to the largest number of trainable parameters within a limit.

    Args:
        method: Class with a field ``sized_by``.
        config: Config to adapt.
        backbone: The frozen backbone.
        shape: Sizes of the problem.
        limit: Largest number of trainable parameters.

    Returns:
        The config, and the violation where even the smallest size exceeds the limit.
    """
    field = str(method.sized_by)

    def count(size: int) -> int:
        return method(config.model_copy(update={field: size}), backbone, shape).trainable_params()

    fitting = largest_size(count, limit, _largest(type(config).model_fields[field]))
    if fitting == 0:
        return config, Violation("trainable_params", limit, count(1))
    return config.model_copy(update={field: fitting}), None


def _largest(field: FieldInfo) -> int:
    """The upper bound of a field, or of the number that it may be."""
    kinds = [bound for kind in get_args(field.annotation) for bound in getattr(kind, "__metadata__", ())]
    bounds = [*field.metadata, *(bound for kind in kinds for bound in getattr(kind, "metadata", ()))]
    return next(int(bound.le) for bound in bounds if hasattr(bound, "le"))


def fit_steps(budget: Budget, counted: GroupResult, encode: StageCosts, episodes: Episodes) -> int | None:
    """Number of optimizer steps that the limits of steps and operations allow.

    Args:
        budget: The limits.
        counted: A short run with counted operations.
        encode: Cost of encoding the episode.
        episodes: The episode.

    Returns:
        The number of steps, 0 if not even one fits; None without such limits.
    """
    allowed = [budget.steps] if budget.steps else []
    if budget.flops and counted.steps:
        per_step: float = counted.step_flops or counted.adapt_flops
        once = counted.adapt_flops - per_step * counted.steps + support_encode_flops(encode, episodes)
        if counted.validate_every is not None:
            # One after each such number of steps, and one more at the end.
            once += counted.validation_flops * (1 - counted.validations(counted.steps))
            per_step += counted.validation_flops / counted.validate_every
        allowed.append(max(0, int((budget.flops - once) // max(1, per_step))))
    return min(allowed) if allowed else None


def support_encode_flops(encode: StageCosts, episodes: Episodes) -> float:
    """Operations of encoding the support set: its share of the episode's items."""
    n_support, n_queries = item_counts(episodes)
    return (encode.flops or 0) * n_support / max(1, n_support + n_queries)


def item_counts(episodes: Episodes) -> tuple[int, int]:
    """Numbers of support and query items of episodes, padding left out."""
    return int((episodes.support != PADDING).sum()), int((episodes.query != PADDING).sum())
