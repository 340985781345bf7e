"""Passes of one run over single episodes, inside a worker process: one with counted operations, and timed ones.

The process has no query labels: the payloads that it gets hold none.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch

from bench.contracts import Backbone, GradientMethod, InputMode, MethodConfig
from bench.costs.budget_fit import fit_parameters, limits_of
from bench.costs.repeats import Patience, is_known
from bench.costs.warm import small, touch_weights
from bench.data.batches import EpisodeGroup
from bench.data.payload import EpisodePayload
from bench.engine.adapt import AdaptOptions, GroupResult
from bench.engine.frozen import kept_frozen, to_precision_of
from bench.engine.stages import answered
from bench.engine.trainer import DeviceOptions
from bench.meters.contention import watched
from bench.spec.budget import Budget, OverBudgetError, Violation
from bench.spec.conditions import Conditions
from bench.spec.resolve import ResolvedRun

COUNTED_STEPS = 4
"""Optimizer steps whose operations are counted, and of a warm-up; later steps cost the same."""
QUICK = 1.0
"""Seconds of a pass up to which a whole episode warms up; longer work is warmed up by a small pass."""


@dataclass(frozen=True)
class PassRequest:
    """Episodes of one run for a worker process.

    Attributes:
        run: The run, with its config fitted to the budget.
        payloads: Episodes that are measured, each once.
        warm_up: Episode of the warm-up; another one where the run has another.
        whole: Whether all of that episode warms up.
        budget: Limits that are held in timed passes.
        devices: Device and precision.
        most_steps: Largest number of optimizer steps; None without such a limit.
        closing_seconds: Part of a time limit that is reserved for the work after the last step; None for that of the
            pass before.
        answers: Whether results hold the answers.
        alone: Whether no other call shares the process, so that a changed backbone is of no consequence.
    """

    run: ResolvedRun
    payloads: tuple[EpisodePayload, ...]
    warm_up: EpisodePayload
    whole: bool
    budget: Budget
    devices: DeviceOptions
    most_steps: int | None = None
    closing_seconds: float | None = None
    answers: bool = False
    alone: bool = False


@dataclass(frozen=True)
class CountedPass:
    """A pass with counted operations.

    Attributes:
        config: The config, fitted to the budget.
        violation: The limit that even the smallest fitted method exceeds; None otherwise.
        result: Result of the pass; None after a violation.
        seconds: Seconds of the pass.
        conditions: What else the host did.
    """

    config: MethodConfig
    violation: Violation | None
    result: GroupResult | None
    seconds: float
    conditions: Conditions | None


@dataclass(frozen=True)
class TimedPasses:
    """Timed passes of one process.

    Attributes:
        results: Result of each pass, in order.
        violation: The limit that ended the last pass; None otherwise.
        conditions: What else the host did.
    """

    results: tuple[GroupResult, ...]
    violation: Violation | None
    conditions: Conditions


def counted_pass(backbone: Backbone, request: PassRequest) -> CountedPass:
    """Fit the config to the budget and count the operations of one episode.

    Args:
        backbone: The frozen backbone, loaded in this process.
        request: The episode. No limit is held meanwhile, because counting slows a method down.

    Returns:
        The fitted config and the counts.

    Raises:
        BackboneChangedError: If the method changed the backbone.
    """
    with kept_frozen(backbone, request.run, request.devices):
        return _counted(backbone, request)


def _counted(backbone: Backbone, request: PassRequest) -> CountedPass:
    run, budget = request.run, request.budget
    if budget.trainable_params and issubclass(run.method, GradientMethod) and run.method.sized_by:
        shape = _group(backbone, request, request.payloads[0]).problem_shape()
        config, violation = fit_parameters(run.method, run.config, backbone, shape, budget.trainable_params)
        if violation:
            return CountedPass(config, violation, None, 0.0, None)
        request = replace(request, run=run.with_config(config))
    _warm_up(backbone, request)
    found: list[Conditions] = []
    with watched(request.devices.root_device(), found):
        began = time.perf_counter()
        options = AdaptOptions(min(COUNTED_STEPS, budget.steps or COUNTED_STEPS), counted=True)
        result = answered(_group(backbone, request, request.payloads[0]), request.devices, options)
        seconds = time.perf_counter() - began
    return CountedPass(request.run.config, None, _light(result, request), seconds, found[0])


def timed_passes(backbone: Backbone, request: PassRequest) -> TimedPasses:
    """Time passes over the request's episodes until their medians are known.

    Args:
        backbone: The frozen backbone, loaded in this process.
        request: The episodes.

    Returns:
        The results; fewer than episodes where the medians are known sooner, time runs out or a limit is exceeded.

    Raises:
        BackboneChangedError: If the method changed the backbone.
    """
    # The counted pass and the answers are checked; reading all weights twice takes longer than many a pass.
    if request.alone and not request.answers:
        to_precision_of(request.run, backbone, request.devices)
        return _timed(backbone, request)
    with kept_frozen(backbone, request.run, request.devices):
        return _timed(backbone, request)


def _timed(backbone: Backbone, request: PassRequest) -> TimedPasses:
    closing = _warm_up(backbone, request)
    if request.closing_seconds is not None:
        closing = request.closing_seconds
    results: list[GroupResult] = []
    found: list[Conditions] = []
    violation, patience = None, Patience(once=is_quick(request.run))
    with watched(request.devices.root_device(), found):
        for payload in request.payloads:
            options = AdaptOptions(request.most_steps, request.budget, closing)
            try:
                results.append(_light(answered(_group(backbone, request, payload), request.devices, options), request))
            except OverBudgetError as error:
                violation = error.violation
                break
            closing = results[-1].closing_seconds
            if stages_known(results) or not patience.lasts(len(results)):
                break
    return TimedPasses(tuple(results), violation, found[0])


def is_quick(run: ResolvedRun) -> bool:
    """Whether costs are measured once, because the run is a quick look (``--limit``)."""
    return run.spec.limit is not None


def stages_known(results: Sequence[GroupResult]) -> bool:
    """Whether the median seconds of both stages are known after these results, one at least."""
    return all(is_known([getattr(result, stage).seconds for result in results]) for stage in ("adapt", "query"))


def _warm_up(backbone: Backbone, request: PassRequest) -> float:
    """Read the weights or the features that are used, and make a pass that does not count.

    Returns:
        Seconds of the pass after its last optimizer step.
    """
    if request.run.input_mode is InputMode.INPUTS:
        touch_weights(backbone)
    else:
        for table in {id(payload.support): payload.support for payload in request.payloads}.values():
            table.touch()
    options = AdaptOptions(min(COUNTED_STEPS, request.most_steps or COUNTED_STEPS))
    if request.whole:
        return answered(_group(backbone, request, request.warm_up), request.devices, options).closing_seconds
    # What fails on so few examples may well work on all; then nothing was warmed, and nothing else is lost.
    with suppress(Exception):
        made = answered(_group(backbone, request, small(request.warm_up)), request.devices, options)
        return made.closing_seconds
    return 0.0


def _group(backbone: Backbone, request: PassRequest, payload: EpisodePayload) -> EpisodeGroup:
    limits = limits_of(request.budget)
    return EpisodeGroup(payload.source(backbone), request.run, payload.episodes, limits=limits)


def _light(result: GroupResult, request: PassRequest) -> GroupResult:
    """The result as the caller needs it."""
    return result if request.answers else replace(result, scores=torch.empty(0), texts=[], losses=[], notes={})
