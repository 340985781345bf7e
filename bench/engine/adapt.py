"""Adaptation of a fresh method to one group of episodes, its answers to their queries, and what both cost."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

from bench.contracts import GradientMethod
from bench.data.batches import EpisodeGroup
from bench.data.episodes import PADDING
from bench.engine.budget_callback import BudgetCallback
from bench.engine.group_result import GroupResult
from bench.engine.lightning_module import GradientAdaptation
from bench.engine.stage_trainers import (
    adaptation_of,
    answer,
    fit,
    joined_scores,
    new_method,
    optimizer_state_bytes,
    runs_backbone,
    token_meter,
)
from bench.engine.trainer import DeviceOptions
from bench.meters.flops import FlopMeter
from bench.meters.stage import StageCost
from bench.spec.budget import Budget


@dataclass(frozen=True)
class AdaptOptions:
    """Options of one call of adapt_and_answer.

    Attributes:
        most_steps: Largest number of optimizer steps; None for the method's own number.
        budget: Limits that are held during the call.
        closing_seconds: Part of the time limit that is reserved for the work after the last step.
        counted: Whether to count floating-point operations, which makes the call slower.
        measured: Whether memory is measured, which makes the call slower too.
        texts: Texts by which a sequence of tasks measures what an adapted language model has lost; None to answer after
            the last task alone.
        callbacks: Further callbacks of Lightning's trainers.
    """

    most_steps: int | None = None
    budget: Budget = field(default_factory=Budget)
    closing_seconds: float = 0.0
    counted: bool = False
    measured: bool = True
    texts: tuple[str, ...] | None = None
    callbacks: tuple[Any, ...] = ()


def adapt_and_answer(group: EpisodeGroup, devices: DeviceOptions, options: AdaptOptions | None = None) -> GroupResult:
    """Adapt a fresh method to the group's support sets and answer the group's queries.

    Args:
        group: The episodes, with the run whose method serves them.
        devices: Device and precision.
        options: Number of steps, budget and counting; no limit by default.

    Returns:
        Predictions and costs. The adapt stage of a method without a support set costs 0.

    Raises:
        OverBudgetError: If a method that cannot stop early exceeds the budget.
    """
    options = options or AdaptOptions()
    counter = FlopMeter() if options.counted else None
    n_queries = int((group.episodes.query != PADDING).sum())
    optimizer_bytes = steps_taken = 0
    with counter or nullcontext():
        method, making = new_method(group, devices, options.measured)
        module = adaptation_of(method)
        if making is not None:
            module.first_stage.count(making)
        tokens = token_meter(method)
        budget_callback = BudgetCallback(options.budget, tokens, n_queries, options.closing_seconds)
        callbacks: list[Any] = [*([budget_callback] if options.budget.held() else ()), *options.callbacks]
        module.adapting.measures_memory = module.answering.measures_memory = options.measured
        module.counter = counter
        if method.uses_support:
            with tokens:
                trainer = fit(module, group, devices, options.most_steps, callbacks)
            optimizer_bytes = optimizer_state_bytes(trainer)
            steps_taken = trainer.global_step
            del trainer  # it holds gradients and the optimizer's state
        adapt_flops = counter.total if counter and method.uses_support else 0
        answers = answer(module, group, devices, callbacks)
        query_flops = counter.total - adapt_flops if counter else 0
    return GroupResult(
        scores=joined_scores(answers),
        texts=[text for answer in answers if isinstance(answer, list) for text in answer],
        adapt=module.adapting.cost if method.uses_support else StageCost(0.0, 0.0, module.answering.cost.memory_meter),
        query=module.answering.cost,
        n_queries=n_queries,
        state_bytes=method.state_bytes(),
        optimizer_bytes=optimizer_bytes,
        trainable_params=method.trainable_params(),
        steps=steps_taken,
        tokens=tokens.count + method.context_tokens(),
        step_seconds=budget_callback.step_seconds,
        closing_seconds=max(
            0.0, module.adapting.cost.seconds - max(budget_callback.seconds, module.adapting.seconds_before)
        )
        if method.uses_support
        else 0.0,
        adapt_flops=adapt_flops,
        step_flops=flops_per_step(module.flops_at_steps),
        query_flops=query_flops,
        validation_flops=module.flops_per_validation(),
        validate_every=method.validate_every if isinstance(method, GradientMethod) else None,
        losses=torch.stack(module.losses).tolist() if isinstance(module, GradientAdaptation) and module.losses else [],
        notes=method.notes | device_note(devices, runs_backbone(group)),
    )


def device_note(devices: DeviceOptions, on_inputs: bool) -> dict[str, str]:
    """Which device the record does not name: closed forms are not computed on a device without float64."""
    device, root = devices.working_device(on_inputs), devices.root_device()
    return {} if device == root else {"computed": f"on the CPU, as {root.type} has no float64"}


def flops_per_step(counts: list[int]) -> int:
    """Operations of one step, from the counts after each; the first count may include preparation."""
    return (counts[-1] - counts[0]) // (len(counts) - 1) if len(counts) > 1 else 0
