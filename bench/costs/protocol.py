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
    Kind,
    MethodConfig,
    Reads,
)
from bench.costs.budget_fit import _encode_flops, _sizes, _steps_within, limits_of, sized
from bench.costs.encoding import SAMPLE
from bench.costs.payload import Excerpt
from bench.costs.repeats import PATIENCE, _stage, repeated
from bench.data.batches import EpisodeGroup
from bench.data.episodes import Episodes
from bench.engine.adapt import Outcome, Plan, adapt_and_answer
from bench.engine.trainer import DeviceOptions
from bench.meters.memory import MIB
from bench.spec.budget import Budget, Excess, OverBudgetError, excesses
from bench.spec.costs import Costs, StageCosts

COUNTED_STEPS = 4
"""Optimizer steps whose operations are counted; the others are like them."""


@dataclass(frozen=True)
class Work:
    """One episode for one method, with all that measuring needs and nothing that it must not see.

    excerpt: of this episode alone. encode: what its items cost, all 0 for what reads inputs.
    """

    method: str
    config: MethodConfig
    excerpt: Excerpt
    episodes: Episodes
    reads: Reads
    prior_count: float
    seed: int
    budget: Budget
    encode: StageCosts
    devices: DeviceOptions


@dataclass(frozen=True)
class Measured:
    """What measuring found.

    most_steps: optimizer steps that the budget leaves, None where all are. config: as it was fitted to the budget.
    costs: None where the method was stopped. excesses: limits that were not kept. outcome: what the episode's method
    answered after so many steps, None where the method was stopped.
    """

    costs: Costs | None
    config: MethodConfig
    most_steps: int | None
    excesses: tuple[Excess, ...]
    outcome: Outcome | None = None


def episode_costs(backbone: Backbone, work: Work) -> Measured:
    """What an episode costs within its budget; see Measured."""
    method = registry.method_class(work.method)
    material, budget, config = work.excerpt.on(backbone), work.budget, work.config
    limits = limits_of(budget)
    group = EpisodeGroup(material, work.episodes, work.reads, work.prior_count, work.seed, limits)
    if budget.trainable_params and issubclass(method, GradientMethod) and method.sized_by:
        config, excess = sized(method, config, backbone, group.setting(), budget.trainable_params)
        if excess:
            return Measured(None, config, None, (excess,))

    def run(plan: Plan) -> Outcome:
        def make(of: EpisodeGroup) -> AnyMethod:
            return method(config, backbone, of.setting())  # type: ignore[return-value]

        return adapt_and_answer(make, group, work.devices, plan)

    try:
        # Counting slows a method down, so that it is held to nothing meanwhile.
        began = time.perf_counter()
        counted = run(Plan(min(COUNTED_STEPS, budget.steps or COUNTED_STEPS), counted=True))
        counting_seconds = time.perf_counter() - began
        most_steps = _steps_within(budget, counted, work.encode, group)
        if most_steps == 0:
            flops = counted.step_flops + _encode_flops(work.encode, group)
            return Measured(None, config, None, (Excess("flops", budget.flops or 0.0, flops),))
        outcomes: list[Outcome] = []

        def once() -> None:
            # What the last time took to finish is left for it this time.
            closing = outcomes[-1].closing_seconds if outcomes else 0.0
            outcomes.append(run(Plan(most_steps, budget, closing)))

        # Batches of work that takes so long are large, and what counting and a cold start add to them is little; but
        # writing goes on token by token.
        whole = not counted.steps and not budget.limits() and material.task.kind is not Kind.TRANSLATION
        together = whole and 2 * counting_seconds > PATIENCE
        if not together:
            repeated(once)
    except OverBudgetError as error:
        return Measured(None, config, None, (error.excess,))
    # The first one warmed up, unless it was the only one that there was time for.
    kept = outcomes[1:] or outcomes or [counted]
    costs = _costs(kept, counted, work, group, repeats=0 if together else len(kept))
    over = excesses(budget, costs, statistics.median(outcome.step_seconds for outcome in kept))
    # All other episodes take as many steps as this one did, whatever stopped it.
    held = costs.steps if budget.limits() and costs.steps else None
    answered = next(outcome for outcome in kept if outcome.steps == costs.steps)
    return Measured(costs, config, held, tuple(over), answered)


def _costs(kept: Sequence[Outcome], counted: Outcome, work: Work, group: EpisodeGroup, repeats: int) -> Costs:
    """Medians of what was kept."""
    n_support, n_queries = _sizes(group)
    steps = int(statistics.median_low([outcome.steps for outcome in kept]))
    last = kept[-1]
    return Costs(
        encode=work.encode,
        adapt=_stage(
            [outcome.adapt for outcome in kept], counted.adapt_flops + counted.step_flops * (steps - counted.steps)
        ),
        query=_stage([outcome.query for outcome in kept], counted.query_flops),
        encode_sample=min(SAMPLE, n_support + n_queries) if work.reads is Reads.FEATURES else 0,
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
