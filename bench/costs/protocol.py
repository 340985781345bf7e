"""The cost protocol: one episode alone, warmed up, repeated. It runs in a process of its own.

The worker process has no query labels: the payload that it gets holds none.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.contracts import Backbone, GradientMethod, InputMode, Kind, MethodConfig
from bench.costs.budget_fit import fit_parameters, fit_steps, item_counts, limits_of, support_encode_flops
from bench.costs.encoding import SAMPLE
from bench.costs.repeats import leaves_no_repeat, repeated, stage_costs
from bench.data.batches import EpisodeGroup
from bench.data.payload import EpisodePayload
from bench.engine.adapt import AdaptOptions, GroupResult, adapt_and_answer
from bench.engine.frozen import frozen
from bench.engine.trainer import DeviceOptions
from bench.meters.memory import MIB
from bench.spec.budget import Budget, OverBudgetError, Violation, violations
from bench.spec.costs import Costs, StageCosts
from bench.spec.resolve import ResolvedRun

COUNTED_STEPS = 4
"""Optimizer steps whose operations are counted; later steps cost the same."""


@dataclass(frozen=True)
class CostRequest:
    """One episode of one run, to be measured by a worker process.

    Attributes:
        run: The run.
        payload: Its first episode.
        budget: Limits that are held while the episode runs.
        encode: Cost of encoding the episode's items, all 0 for a method that reads raw inputs.
        devices: Device and precision.
    """

    run: ResolvedRun
    payload: EpisodePayload
    budget: Budget
    encode: StageCosts
    devices: DeviceOptions


@dataclass(frozen=True)
class CostResult:
    """Measured costs of one episode.

    Attributes:
        costs: The costs; None where the method was stopped.
        config: The config as it was fitted to the budget.
        most_steps: Number of optimizer steps that the budget allows; None without such a limit.
        violations: Limits that were exceeded.
        result: Predictions of the measured episode; None where the method was stopped.
    """

    costs: Costs | None
    config: MethodConfig
    most_steps: int | None
    violations: tuple[Violation, ...]
    result: GroupResult | None = None


def measure_episode(backbone: Backbone, request: CostRequest) -> CostResult:
    """Measure the costs of one episode within its budget.

    Args:
        backbone: The frozen backbone, loaded in this process.
        request: The episode.

    Returns:
        Costs, fitted config and violations.

    Raises:
        BackboneChangedError: If the method changed the backbone.
    """
    if request.run.input_mode is InputMode.INPUTS:
        request.devices.convert(backbone)
    with frozen(backbone, request.run.method_at_site):
        return _measured(backbone, request)


def _measured(backbone: Backbone, request: CostRequest) -> CostResult:
    run, budget = request.run, request.budget
    group = EpisodeGroup(request.payload.source(backbone), run, request.payload.episodes, limits=limits_of(budget))
    if budget.trainable_params and issubclass(run.method, GradientMethod) and run.method.sized_by:
        config, violation = fit_parameters(
            run.method, run.config, backbone, group.problem_shape(), budget.trainable_params
        )
        if violation:
            return CostResult(None, config, None, (violation,))
        run = run.with_config(config)
        group = EpisodeGroup(group.source, run, group.episodes, limits=group.limits)

    def adapted(options: AdaptOptions) -> GroupResult:
        return adapt_and_answer(group, request.devices, options)

    try:
        # Counting slows a method down, so no limit is held meanwhile.
        began = time.perf_counter()
        counted = adapted(AdaptOptions(min(COUNTED_STEPS, budget.steps or COUNTED_STEPS), counted=True))
        counting_seconds = time.perf_counter() - began
        most_steps = fit_steps(budget, counted, request.encode, group)
        if most_steps == 0:
            flops = counted.step_flops + support_encode_flops(request.encode, group)
            return CostResult(None, run.config, None, (Violation("flops", budget.flops or 0.0, flops),))
        results: list[GroupResult] = []

        def measure() -> None:
            # The time that the previous repeat took after its last step is reserved in this one.
            closing = results[-1].closing_seconds if results else 0.0
            results.append(adapted(AdaptOptions(most_steps, budget, closing)))

        # Long work runs in large batches, for which counting and a cold start add little. Generation is the
        # exception: it runs token by token.
        without_steps = not counted.steps and not budget.limits() and run.task.kind is not Kind.TRANSLATION
        counted_pass_only = without_steps and leaves_no_repeat(2 * counting_seconds)
        if not counted_pass_only:
            repeated(measure)
    except OverBudgetError as error:
        return CostResult(None, run.config, None, (error.violation,))
    # The first repeat warmed up, unless there was time for no other.
    kept = results[1:] or results or [counted]
    costs = _costs(kept, counted, request, group, repeats=0 if counted_pass_only else len(kept))
    exceeded = violations(budget, costs, statistics.median(result.step_seconds for result in kept))
    # All other episodes take as many steps as this one, which a limit may have stopped.
    steps = costs.steps if budget.limits() and costs.steps else None
    typical = next(result for result in kept if result.steps == costs.steps)
    return CostResult(costs, run.config, steps, tuple(exceeded), typical)


def _costs(
    kept: Sequence[GroupResult], counted: GroupResult, request: CostRequest, group: EpisodeGroup, repeats: int
) -> Costs:
    """Medians over the repeats."""
    n_support, n_queries = item_counts(group)
    steps = int(statistics.median_low([result.steps for result in kept]))
    last = kept[-1]
    adapt_flops = counted.adapt_flops + counted.step_flops * (steps - counted.steps)
    reads_features = request.run.input_mode is InputMode.FEATURES
    return Costs(
        encode=request.encode,
        adapt=stage_costs([result.adapt for result in kept], adapt_flops),
        query=stage_costs([result.query for result in kept], counted.query_flops),
        encode_sample=min(SAMPLE, n_support + n_queries) if reads_features else 0,
        encode_wall_seconds=0.0,
        n_support=n_support,
        n_queries=n_queries,
        state_mb=last.state_bytes / MIB,
        optimizer_mb=last.optimizer_bytes / MIB,
        trainable_params=last.trainable_params,
        steps=steps,
        tokens=last.tokens,
        memory_meter=last.query.memory_meter,
        device=request.devices.device_name(),
        process="same",
        repeats=repeats,
    )
