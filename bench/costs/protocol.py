"""How costs are measured: one episode alone, warmed up, repeated; called in a process of its own.

Nothing here sees a query's label: what is sent here has none.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench import registry
from bench.contracts import (
    AnyMethod,
    Backbone,
    GradientMethod,
    InputMode,
    Kind,
    MethodConfig,
)
from bench.costs.budget_fit import _encode_flops, _sizes, _steps_within, limits_of, sized
from bench.costs.encoding import SAMPLE
from bench.costs.payload import EpisodePayload
from bench.costs.repeats import PATIENCE, _stage, repeated
from bench.data.batches import EpisodeGroup
from bench.data.episodes import Episodes
from bench.engine.adapt import AdaptOptions, GroupResult, adapt_and_answer
from bench.engine.trainer import DeviceOptions
from bench.meters.memory import MIB
from bench.spec.budget import Budget, OverBudgetError, Violation, violations
from bench.spec.costs import Costs, StageCosts

COUNTED_STEPS = 4
"""Optimizer steps whose operations are counted; the others are like them."""


@dataclass(frozen=True)
class CostRequest:
    """One episode for one method, with all that measuring needs and nothing that it must not see.

    payload: of this episode alone. encode: what its items cost, all 0 for what reads inputs.
    """

    method: str
    config: MethodConfig
    payload: EpisodePayload
    episodes: Episodes
    reads: InputMode
    prior_strength: float
    seed: int
    budget: Budget
    encode: StageCosts
    devices: DeviceOptions


@dataclass(frozen=True)
class CostResult:
    """What measuring found.

    most_steps: optimizer steps that the budget leaves, None where all are. config: as it was fitted to the budget.
    costs: None where the method was stopped. violations: limits that were not kept. outcome: what the episode's method
    answered after so many steps, None where the method was stopped.
    """

    costs: Costs | None
    config: MethodConfig
    most_steps: int | None
    violations: tuple[Violation, ...]
    outcome: GroupResult | None = None


def episode_costs(backbone: Backbone, request: CostRequest) -> CostResult:
    """What an episode costs within its budget; see CostResult."""
    method = registry.method_class(request.method)
    source, budget, config = request.payload.on(backbone), request.budget, request.config
    limits = limits_of(budget)
    group = EpisodeGroup(source, request.episodes, request.reads, request.prior_strength, request.seed, limits)
    if budget.trainable_params and issubclass(method, GradientMethod) and method.sized_by:
        config, violation = sized(method, config, backbone, group.problem_shape(), budget.trainable_params)
        if violation:
            return CostResult(None, config, None, (violation,))

    def run(options: AdaptOptions) -> GroupResult:
        def make(of: EpisodeGroup) -> AnyMethod:
            return method(config, backbone, of.problem_shape())  # type: ignore[return-value]

        return adapt_and_answer(make, group, request.devices, options)

    try:
        # Counting slows a method down, so that it is held to nothing meanwhile.
        began = time.perf_counter()
        counted = run(AdaptOptions(min(COUNTED_STEPS, budget.steps or COUNTED_STEPS), counted=True))
        counting_seconds = time.perf_counter() - began
        most_steps = _steps_within(budget, counted, request.encode, group)
        if most_steps == 0:
            flops = counted.step_flops + _encode_flops(request.encode, group)
            return CostResult(None, config, None, (Violation("flops", budget.flops or 0.0, flops),))
        outcomes: list[GroupResult] = []

        def once() -> None:
            # What the last time took to finish is left for it this time.
            closing = outcomes[-1].closing_seconds if outcomes else 0.0
            outcomes.append(run(AdaptOptions(most_steps, budget, closing)))

        # Batches of work that takes so long are large, and what counting and a cold start add to them is little; but
        # writing goes on token by token.
        whole = not counted.steps and not budget.limits() and source.task.kind is not Kind.TRANSLATION
        together = whole and 2 * counting_seconds > PATIENCE
        if not together:
            repeated(once)
    except OverBudgetError as error:
        return CostResult(None, config, None, (error.violation,))
    # The first one warmed up, unless it was the only one that there was time for.
    kept = outcomes[1:] or outcomes or [counted]
    costs = _costs(kept, counted, request, group, repeats=0 if together else len(kept))
    over = violations(budget, costs, statistics.median(outcome.step_seconds for outcome in kept))
    # All other episodes take as many steps as this one did, whatever stopped it.
    held = costs.steps if budget.limits() and costs.steps else None
    answered = next(outcome for outcome in kept if outcome.steps == costs.steps)
    return CostResult(costs, config, held, tuple(over), answered)


def _costs(
    kept: Sequence[GroupResult], counted: GroupResult, request: CostRequest, group: EpisodeGroup, repeats: int
) -> Costs:
    """Medians of what was kept."""
    n_support, n_queries = _sizes(group)
    steps = int(statistics.median_low([outcome.steps for outcome in kept]))
    last = kept[-1]
    return Costs(
        encode=request.encode,
        adapt=_stage(
            [outcome.adapt for outcome in kept], counted.adapt_flops + counted.step_flops * (steps - counted.steps)
        ),
        query=_stage([outcome.query for outcome in kept], counted.query_flops),
        encode_sample=min(SAMPLE, n_support + n_queries) if request.reads is InputMode.FEATURES else 0,
        encode_wall_seconds=0.0,
        n_support=n_support,
        n_queries=n_queries,
        state_mb=last.state_bytes / MIB,
        optimizer_mb=last.optimizer_bytes / MIB,
        trainable_params=last.trainable_params,
        steps=steps,
        tokens=last.tokens,
        memory_meter=last.query.memory_meter,
        process="same",
        repeats=repeats,
    )
