"""Adaptation of a method to one group of episodes, and the answers to its queries."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bench.contracts import GradientMethod, InputMode, LanguageBackbone
from bench.data.batches import EpisodeGroup
from bench.data.episodes import PADDING
from bench.engine.budget_callback import BudgetCallback
from bench.engine.lightning_module import Adaptation, ForwardAdaptation, GradientAdaptation
from bench.engine.trainer import DeviceOptions
from bench.meters.flops import FlopMeter
from bench.meters.stage import StageCost
from bench.meters.tokens import TokenMeter
from bench.spec.budget import Budget


class _Stream(Iterable[Any]):
    """Lazily made batches; each ``iter`` starts a new pass."""

    def __init__(self, make: Callable[[], Iterator[Any]]) -> None:
        self.make = make

    def __iter__(self) -> Iterator[Any]:
        return self.make()


@dataclass(frozen=True)
class AdaptOptions:
    """Options of one call of adapt_and_answer.

    Attributes:
        most_steps: Largest number of optimizer steps; None for the method's own number.
        budget: Limits that are held during the call.
        closing_seconds: Part of the time limit that is reserved for the work after the last step.
        counted: Whether to count floating-point operations, which makes the call slower.
        measured: Whether memory is measured, which makes the call slower too.
    """

    most_steps: int | None = None
    budget: Budget = field(default_factory=Budget)
    closing_seconds: float = 0.0
    counted: bool = False
    measured: bool = True


@dataclass(frozen=True, kw_only=True)
class GroupAnswers:
    """Predictions of one group of episodes.

    Attributes:
        scores: ``[episode, item, way]`` on the CPU, see Method.predict; empty for generated texts.
        texts: Generated texts; empty for scores.
        losses: Loss of each step, averaged over episodes.
        notes: Further facts from the method, as in JSON.
    """

    scores: Tensor
    texts: list[str]
    losses: list[float]
    notes: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class GroupResult(GroupAnswers):
    """Predictions and costs of one group of episodes.

    Attributes:
        adapt: Cost of the adapt stage, 0 for a method without a support set.
        query: Cost of the query stage.
        n_queries: Number of queries, padding left out.
        state_bytes: Bytes that must be kept to answer the next query.
        optimizer_bytes: Bytes that the optimizer keeps besides the parameters.
        trainable_params: Number of trained parameters.
        steps: Number of optimizer steps.
        tokens: Tokens of the support set that a language model read.
        step_seconds: Seconds of the longest optimizer step after the first.
        closing_seconds: Seconds from the end of the last step to the end of the adapt stage.
        adapt_flops: Operations of the adapt stage; 0 unless counted.
        step_flops: Operations of one optimizer step; 0 unless counted.
        query_flops: Operations of the query stage; 0 unless counted.
    """

    adapt: StageCost
    query: StageCost
    n_queries: int
    state_bytes: int
    optimizer_bytes: int
    trainable_params: int
    steps: int
    tokens: int
    step_seconds: float
    closing_seconds: float
    adapt_flops: int
    step_flops: int
    query_flops: int


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
    backbone, shape = group.source.backbone, group.problem_shape()
    runs_backbone = group.run.input_mode is InputMode.INPUTS
    if runs_backbone:
        # Before the method is made: what it computes then, such as a start from some states, is always the same.
        backbone.to(devices.root_device())
    method = group.run.make_method(backbone, shape)
    module: Adaptation
    if isinstance(method, GradientMethod):
        module = GradientAdaptation(method)
        duration = {"max_steps": min(method.steps, options.most_steps or method.steps), "max_epochs": -1}
        batch_size = method.batch_size
        batches = _Stream(lambda: group.training_batches(batch_size))
    else:
        module = ForwardAdaptation(method)
        duration = {"max_epochs": 1}
        batches = _Stream(group.support_batches)
    n_queries = int((group.episodes.query != PADDING).sum())
    tokens = TokenMeter(method.backbone.causal_lm if isinstance(method.backbone, LanguageBackbone) else None)
    budget_callback = BudgetCallback(options.budget, tokens, n_queries, options.closing_seconds)
    callbacks: list[Any] = [budget_callback] if options.budget.held() else []
    trainer = devices.trainer(runs_backbone=runs_backbone, callbacks=callbacks, **duration)
    module.adapting.measures_memory = module.answering.measures_memory = options.measured
    module.counter = FlopMeter() if options.counted else None
    with module.counter or nullcontext():
        if method.uses_support:
            with tokens:
                trainer.fit(module, batches)
        adapt_flops = module.counter.total if module.counter else 0
        optimizer_bytes = sum(_optimizer_bytes(optimizer) for optimizer in trainer.optimizers)
        steps_taken = trainer.global_step
        # A new trainer, because the old one holds gradients and the optimizer's state.
        trainer = devices.trainer(runs_backbone=runs_backbone, callbacks=callbacks)
        answers: list[Any] = trainer.predict(module, _Stream(group.query_batches)) or []
        query_flops = module.counter.total - adapt_flops if module.counter else 0
    scores = [answer for answer in answers if isinstance(answer, Tensor)]
    return GroupResult(
        scores=torch.cat(scores, dim=1) if scores else torch.empty(0),
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
        closing_seconds=max(0.0, module.adapting.cost.seconds - budget_callback.seconds)
        if method.uses_support
        else 0.0,
        adapt_flops=adapt_flops,
        step_flops=_per_step(module.flops_at_steps),
        query_flops=query_flops,
        losses=torch.stack(module.losses).tolist() if isinstance(module, GradientAdaptation) and module.losses else [],
        notes=method.notes | _device_note(devices, runs_backbone),
    )


def _device_note(devices: DeviceOptions, runs_backbone: bool) -> dict[str, str]:
    """Which device the record does not name: closed forms are not computed on a device without float64."""
    device, root = devices.working_device(runs_backbone), devices.root_device()
    return {} if device == root else {"computed": f"on the CPU, as {root.type} has no float64"}


def _optimizer_bytes(optimizer: Any) -> int:
    """Bytes that an optimizer keeps besides the parameters."""
    kept = (tensor for state in optimizer.state.values() for tensor in state.values())
    return sum(tensor.nbytes for tensor in kept if isinstance(tensor, Tensor))


def _per_step(counts: list[int]) -> int:
    """Operations of one step, from the counts after each; the first count may include preparation."""
    return (counts[-1] - counts[0]) // (len(counts) - 1) if len(counts) > 1 else 0
