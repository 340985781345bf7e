"""The cost protocol: one episode alone, warmed up, repeated until its medians are known; see docs/budgets.md.

Each repeat has a forked process of its own, so that what a method remembers of its inputs makes it no cheaper. Where
that costs too much (brief work, a GPU's context, systems that cannot fork) or is not wanted, repeats
share a process and each has an episode of its own; brief work that gets faster within a process shares none.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.contracts import InputMode, Kind, MethodConfig
from bench.costs import encoding
from bench.costs.budget_fit import fit_steps, item_counts, support_encode_flops
from bench.costs.passes import (
    BRIEF,
    BRIEF_AMONG_MANY,
    CountedPass,
    EarlierPasses,
    PassRequest,
    TimedPasses,
    counted_pass,
    is_quick,
    stage_seconds,
    timed_passes,
)
from bench.costs.repeats import (
    LEAST,
    MOST_SHORT,
    Patience,
    gets_faster,
    stage_costs,
    stages_known,
    takes_long,
)
from bench.costs.warm import have_much_in_common
from bench.data.batches import EpisodeSource
from bench.data.episodes import Episodes
from bench.data.payload import EpisodePayload, payload_of
from bench.engine.group_result import GroupResult
from bench.engine.parent_death import FORKS
from bench.engine.trainer import DeviceOptions
from bench.engine.worker import Worker
from bench.meters.memory import MIB
from bench.spec.budget import Budget, Violation, violations
from bench.spec.conditions import Conditions, combined
from bench.spec.costs import Costs, StageCosts
from bench.spec.resolve import ResolvedRun

AT_ONCE = -(-MOST_SHORT // LEAST)
"""Episodes that each process of brief work may measure: LEAST processes have as many as there are ever repeats."""


@dataclass(frozen=True)
class CostRequest:
    """One run to be measured.

    Attributes:
        run: The run.
        payloads: Its episodes for the measurement, as ``cost_request`` chooses them.
        budget: Limits that are held while an episode runs.
        encode: Cost of encoding an episode's items, all 0 for a method that reads raw inputs.
        devices: Device and precision.
        forked: Whether each repeat has a process of its own.
        apart: Whether its episodes have few items in common, so that another one may warm a process up.
        only: Whether the first episode is the run's only one, so that its answers are kept.
    """

    run: ResolvedRun
    payloads: tuple[EpisodePayload, ...]
    budget: Budget
    encode: StageCosts
    devices: DeviceOptions
    forked: bool
    apart: bool
    only: bool


@dataclass(frozen=True)
class CostResult:
    """Measured costs of one episode.

    Attributes:
        costs: The costs; None where the method was stopped.
        config: The config as it was fitted to the budget.
        most_steps: Number of optimizer steps that the budget allows; None without such a limit.
        violations: Limits that were exceeded.
        result: Predictions of the run's only episode; None for several, and where the method was stopped.
    """

    costs: Costs | None
    config: MethodConfig
    most_steps: int | None
    violations: tuple[Violation, ...]
    result: GroupResult | None = None


def cost_request(
    run: ResolvedRun,
    source: EpisodeSource,
    episodes: Episodes,
    budget: Budget,
    encode: StageCosts,
    devices: DeviceOptions,
    worker: Worker,
) -> CostRequest:
    """The request to measure a run by a worker.

    Args:
        run: The run.
        source: Encoded pools of its task.
        episodes: Its episodes, one at least.
        budget: All its limits.
        encode: Cost of encoding one episode.
        devices: Device and precision.
        worker: Where it will be measured.

    Returns:
        The request, with few episodes where repeats are forked, and with as many as there are repeats elsewhere.
    """
    forks = FORKS and worker.process == "fresh"
    apart = not have_much_in_common(episodes)
    # A fork costs a GPU's context each time, which is worth it only where there are too few episodes.
    forked = forks and (devices.device_kind() == "cpu" or len(episodes) <= LEAST or not apart)
    n_payloads = min(len(episodes), 1 + ((AT_ONCE if apart else 1) if forked else MOST_SHORT))
    payloads = tuple(payload_of(source, episodes[number : number + 1], run.input_mode) for number in range(n_payloads))
    return CostRequest(run, payloads, budget, encode, devices, forked, apart, len(episodes) == 1)


@dataclass(frozen=True)
class Prepared:
    """A run with its operations counted, ready to be timed.

    Attributes:
        passes: Request of timed passes, with the config and the number of steps that the budget allows.
        counted: Result of the counted pass.
        seconds: Seconds of the counted pass.
        conditions: Load of the host during that pass.
    """

    passes: PassRequest
    counted: GroupResult
    seconds: float
    conditions: Conditions


def prepared(worker: Worker, request: CostRequest) -> Prepared | CostResult:
    """Fit a run to its budget and count its operations.

    Args:
        worker: Runs the pass.
        request: The run.

    Returns:
        The run to be timed; a result with violations where not even the smallest size or number of steps fits.

    Raises:
        BackboneChangedError: If the method changed the backbone.
    """
    first, last = request.payloads[0], request.payloads[-1]
    passes = PassRequest(
        request.run, (first if request.forked else last,), last, False, request.budget, request.devices,
        answers=request.only, alone=request.forked,
    )  # fmt: skip
    counted: CountedPass = worker.call(counted_pass, passes)
    config, result = counted.config, counted.result
    if result is None or counted.conditions is None:
        return CostResult(None, config, None, (counted.violation,) if counted.violation else ())
    budget, episodes = request.budget, first.episodes
    most_steps = fit_steps(budget, result, request.encode, episodes)
    if most_steps == 0:
        flops = result.step_flops + support_encode_flops(request.encode, episodes)
        return CostResult(None, config, None, (Violation("flops", budget.flops or 0.0, flops),))
    brief = BRIEF if request.forked else BRIEF_AMONG_MANY
    whole = request.apart and counted.seconds < brief and len(request.payloads) > 1
    # A process costs more than brief work: each measures several episodes, none twice. The last one warms up.
    several = whole or not request.forked
    timed = (request.payloads[:-1] or request.payloads) if several else request.payloads[:1]
    run = request.run.with_config(config)
    passes = replace(passes, run=run, whole=whole, most_steps=most_steps, payloads=timed)
    return Prepared(passes, result, counted.seconds, counted.conditions)


def measure_costs(worker: Worker, request: CostRequest) -> CostResult:
    """Measure the costs of a run's first episode within its budget.

    Args:
        worker: Runs the passes.
        request: The run.

    Returns:
        Costs, fitted config and violations.

    Raises:
        BackboneChangedError: If the method changed the backbone.
    """
    ready = prepared(worker, request)
    if isinstance(ready, CostResult):
        return ready
    budget, config, counted = request.budget, ready.passes.run.config, ready.counted
    # Long work runs in large batches, for which counting adds little. Generation is the exception: it runs token by
    # token.
    without_steps = not counted.steps and not budget.limits() and request.run.task.kind is not Kind.TEXT_GENERATION
    if without_steps and takes_long(ready.seconds):
        kept, conditions, repeats = [counted], ready.conditions, 0
    else:
        timed = _repeated(worker, request, ready.passes)
        if timed.violation:
            return CostResult(None, config, None, (timed.violation,))
        kept, conditions, repeats = list(timed.results), timed.conditions, len(timed.results)
    costs = _costs(kept, counted, request, conditions, repeats)
    exceeded = violations(budget, costs, statistics.median(each.step_seconds for each in kept))
    # All other episodes take as many steps as this one, which a limit may have stopped.
    steps = costs.steps if budget.limits() and costs.steps else None
    typical = next(each for each in kept if each.steps == costs.steps) if request.only else None
    return CostResult(costs, config, steps, tuple(exceeded), typical)


def _repeated(worker: Worker, request: CostRequest, passes: PassRequest) -> TimedPasses:
    """Timed passes, in several calls if repeats are forked, else all in one call."""
    if not request.forked:
        # A run's only episode is repeated, as nothing else is there.
        several = passes.payloads if len(request.payloads) > 1 else passes.payloads * MOST_SHORT
        made: TimedPasses = worker.call(timed_passes, replace(passes, payloads=several))
        return made
    patience = Patience(once=is_quick(request.run))
    calls, results = list[TimedPasses](), list[GroupResult]()
    while True:
        closing = results[-1].closing_seconds if results else None
        calls.append(worker.call(timed_passes, passes, EarlierPasses(stage_seconds(results), closing)))
        results += calls[-1].results
        conditions = combined([call.conditions for call in calls])
        # What is measured in company is marked and should be measured again, so that no repeat refines it.
        enough = len(calls) >= LEAST and (stages_known(stage_seconds(results)) or conditions.company)
        if calls[-1].violation or enough or not patience.lasts(len(calls)):
            if not (calls[-1].violation or conditions.company) and gets_faster([call.in_order for call in calls]):
                return _repeated(worker, request, replace(passes, payloads=passes.payloads[:1], whole=False))
            return TimedPasses(tuple(results), calls[-1].violation, conditions)


def _costs(
    kept: Sequence[GroupResult],
    counted: GroupResult,
    request: CostRequest,
    conditions: Conditions,
    repeats: int,
) -> Costs:
    """Medians over the repeats."""
    n_support, n_queries = item_counts(request.payloads[0].episodes)
    steps = int(statistics.median_low([result.steps for result in kept]))
    first = kept[0]
    adapt_flops = counted.adapt_flops + counted.step_flops * (steps - counted.steps)
    adapt_flops += counted.validation_flops * (counted.validations(steps) - counted.validations(counted.steps))
    reads_features = request.run.input_mode is InputMode.FEATURES
    return Costs(
        encode=request.encode,
        adapt=stage_costs([result.adapt for result in kept], adapt_flops),
        query=stage_costs([result.query for result in kept], counted.query_flops),
        encode_sample=min(encoding.SAMPLE, n_support + n_queries) if reads_features else 0,
        encode_wall_seconds=0.0,
        n_support=n_support,
        n_queries=n_queries,
        state_mb=first.state_bytes / MIB,
        optimizer_mb=first.optimizer_bytes / MIB,
        trainable_params=first.trainable_params,
        steps=steps,
        tokens=first.tokens,
        memory_meter=first.query.memory_meter,
        device=request.devices.device_name(),
        process="same",
        repeats=repeats,
        conditions=combined([conditions]),
    )
