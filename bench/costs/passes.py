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
from bench.costs.repeats import LEAST, Patience, stages_known
from bench.costs.warm import small, touch_weights
from bench.data.batches import EpisodeGroup
from bench.data.payload import EpisodePayload
from bench.engine.adapt import AdaptOptions
from bench.engine.frozen import kept_frozen
from bench.engine.group_result import GroupResult
from bench.engine.stages import answered
from bench.engine.trainer import DeviceOptions
from bench.meters.contention import watched
from bench.spec.budget import Budget, OverBudgetError, Violation
from bench.spec.conditions import Conditions
from bench.spec.resolve import ResolvedRun

COUNTED_STEPS = 4
"""Optimizer steps whose operations are counted; later steps cost the same."""
WARMING_STEPS = 2
"""Optimizer steps of a warm-up: the first makes what is made once, such as the state of the optimizer."""
BRIEF = 0.25
"""Seconds of a pass up to which a process measures several episodes, and another whole one warms it up; longer work is
warmed up by a small pass."""
BRIEF_AMONG_MANY = 1.0
"""The same for a process that makes all repeats, as it is warmed up once."""


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
        answers: Whether results hold the answers.
        alone: Whether no other call shares the process, which is one of several that share the repeats.
    """

    run: ResolvedRun
    payloads: tuple[EpisodePayload, ...]
    warm_up: EpisodePayload
    whole: bool
    budget: Budget
    devices: DeviceOptions
    most_steps: int | None = None
    answers: bool = False
    alone: bool = False

    @property
    def checked(self) -> bool:
        """Whether the backbone is required to stay as it is: in passes without answers only if a process is shared."""
        return self.answers or not self.alone


@dataclass(frozen=True)
class EarlierPasses:
    """What the processes before this one found out about the same episodes.

    Attributes:
        seconds: Seconds of adapting and of answering, of each pass.
        closing_seconds: Part of a time limit that is reserved for the work after the last step; None for that of the
            warm-up.
    """

    seconds: tuple[tuple[float, float], ...] = ()
    closing_seconds: float | None = None


NONE = EarlierPasses()
"""Nothing yet."""


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
        again: Seconds of another pass over the first episode, in the first of the processes that measure several; it
            shows whether a method remembers items, and counts for nothing else.
    """

    results: tuple[GroupResult, ...]
    violation: Violation | None
    conditions: Conditions
    again: tuple[tuple[float, float], ...] = ()

    @property
    def in_order(self) -> tuple[tuple[float, float], ...]:
        """Seconds of adapting and of answering, of each pass and of the repeated one."""
        return (*stage_seconds(self.results), *self.again)


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
    with kept_frozen(backbone, request.run, request.devices, request.checked):
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


def timed_passes(backbone: Backbone, request: PassRequest, earlier: EarlierPasses = NONE) -> TimedPasses:
    """Time passes over the request's episodes until their medians are known.

    Args:
        backbone: The frozen backbone, loaded in this process.
        request: The episodes.
        earlier: Passes of other processes, with which those of this one are joined.

    Returns:
        The results; fewer than episodes where the medians are known sooner, time runs out or a limit is exceeded. A
        process that is one of several makes its share of the repeats.

    Raises:
        BackboneChangedError: If the method changed the backbone.
    """
    with kept_frozen(backbone, request.run, request.devices, request.checked):
        return _timed(backbone, request, earlier)


def _timed(backbone: Backbone, request: PassRequest, earlier: EarlierPasses) -> TimedPasses:
    closing = _warm_up(backbone, request)
    if earlier.closing_seconds is not None:
        closing = earlier.closing_seconds
    results: list[GroupResult] = []
    found: list[Conditions] = []
    violation, patience = None, Patience(LEAST if request.alone else 1, once=is_quick(request.run))
    with watched(request.devices.root_device(), found):
        for payload in request.payloads:
            options = AdaptOptions(request.most_steps, request.budget, closing)
            try:
                results.append(_light(answered(_group(backbone, request, payload), request.devices, options), request))
            except OverBudgetError as error:
                violation = error.violation
                break
            closing = results[-1].closing_seconds
            made = (*earlier.seconds, *stage_seconds(results))
            known = stages_known(made, len(results) if request.alone else 0)
            if known or not patience.lasts(len(results)):
                break
    is_first = request.whole and request.alone and not earlier.seconds
    again = _again(backbone, request, results[0]) if is_first and not violation and not is_quick(request.run) else ()
    return TimedPasses(tuple(results), violation, found[0], again)


def _again(backbone: Backbone, request: PassRequest, first: GroupResult) -> tuple[tuple[float, float], ...]:
    """Seconds of a pass over the first episode, which this process has had already, with as many optimizer steps."""
    options = AdaptOptions(first.steps or request.most_steps)
    return stage_seconds([answered(_group(backbone, request, request.payloads[0]), request.devices, options)])


def is_quick(run: ResolvedRun) -> bool:
    """Whether costs are measured once, because the run is a quick look (``--limit``)."""
    return run.spec.limit is not None


def stage_seconds(results: Sequence[GroupResult]) -> tuple[tuple[float, float], ...]:
    """Seconds of adapting and of answering, of each pass.

    Args:
        results: Results of the passes.

    Returns:
        A pair for each.
    """
    return tuple((result.adapt.seconds, result.query.seconds) for result in results)


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
    options = AdaptOptions(min(WARMING_STEPS, request.most_steps or WARMING_STEPS))
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
