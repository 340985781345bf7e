"""Adaptation of a method to one group of episodes, and the answers to its queries."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor

from bench.contracts import AnyMethod, GradientMethod, InputMode, LanguageBackbone
from bench.data.batches import EpisodeGroup, Feed
from bench.data.episodes import PADDING
from bench.engine.budget_callback import BudgetCallback
from bench.engine.feeding import feed_for
from bench.engine.lightning_module import Adaptation, ForwardAdaptation, GradientAdaptation
from bench.engine.trainer import DeviceOptions
from bench.meters.flops import FlopMeter
from bench.meters.stage import StageCost, StageMeter, measured_before
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


@dataclass(frozen=True, kw_only=True)
class StageAnswers:
    """Answers after one support set of a sequence of tasks.

    Attributes:
        stage: Support sets that were learnt by then.
        from_base: Whether the last of them was learnt alone, by a fresh method.
        scores: ``[episode, item, way]`` for the queries of all tasks, on the CPU.
        labels: Labelled examples of the last support set, over all episodes.
        steps: Optimizer steps on it.
        tokens: Tokens of it that a language model read.
        seconds: Seconds of adapting to it.
        text_nll: ``[text]``, negative log-likelihood per token in nats; empty where the model stays as it is.
    """

    stage: int
    from_base: bool
    scores: Tensor
    labels: int = 0
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    text_nll: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GroupAnswers:
    """Predictions of one group of episodes.

    Attributes:
        scores: ``[episode, item, way]`` on the CPU, see Method.predict; empty for generated texts.
        texts: Generated texts; empty for scores.
        losses: Loss of each step, averaged over episodes.
        notes: Further facts from the method, as in JSON.
        stages: Answers after each support set of a sequence of tasks; empty for a single task.
    """

    scores: Tensor
    texts: list[str]
    losses: list[float]
    notes: dict[str, Any]
    stages: tuple[StageAnswers, ...] = ()


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
        step_flops: Operations of one optimizer step, without validations; 0 unless counted.
        query_flops: Operations of the query stage; 0 unless counted.
        validation_flops: Operations of one validation; 0 unless counted.
        validate_every: Steps between two validations; None without any.
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
    validation_flops: int = 0
    validate_every: int | None = None

    def validations(self, steps: int) -> int:
        """Number of validations in a training: one after every ``validate_every`` steps, and one after the last."""
        return 0 if self.validate_every is None else -(-steps // self.validate_every)


def adaptation_of(method: AnyMethod) -> Adaptation:
    """The Lightning module of a method.

    Args:
        method: The method.

    Returns:
        The module.
    """
    return GradientAdaptation(method) if isinstance(method, GradientMethod) else ForwardAdaptation(method)


def fit(
    module: Adaptation, group: EpisodeGroup, devices: DeviceOptions, most_steps: int | None, callbacks: list[Any]
) -> Trainer:
    """Adapt a module's method to the group's support sets.

    Args:
        module: Module of a method that uses a support set.
        group: The episodes.
        devices: Device and precision.
        most_steps: Largest number of optimizer steps; None for the method's own number.
        callbacks: Callbacks of the trainer.

    Returns:
        The trainer, with the optimizers and the number of steps.
    """
    method = module.method
    on_inputs = runs_backbone(group)
    feed: Feed = map if on_inputs else feed_for(group, devices.working_device(on_inputs))
    if isinstance(method, GradientMethod):
        duration = {"max_steps": min(method.steps, most_steps or method.steps), "max_epochs": -1}
        batch_size = method.batch_size
        batches = _Stream(lambda: group.training_batches(batch_size, feed))
    else:
        duration = {"max_epochs": 1}
        batches = _Stream(lambda: group.support_batches(feed))
    trainer = devices.trainer(runs_backbone=on_inputs, callbacks=callbacks, **duration)
    trainer.fit(module, batches)
    return trainer


def answer(module: Adaptation, group: EpisodeGroup, devices: DeviceOptions, callbacks: list[Any]) -> list[Any]:
    """The answers of a module's method to the group's queries, batch by batch.

    Args:
        module: Module of the method.
        group: The episodes.
        devices: Device and precision.
        callbacks: Callbacks of the trainer.

    Returns:
        Scores or texts of each batch, see ``Method.predict``.
    """
    # A new trainer: the one of adapting holds gradients and the optimizer's state.
    trainer = devices.trainer(runs_backbone=runs_backbone(group), callbacks=callbacks)
    return trainer.predict(module, _Stream(group.query_batches)) or []


def runs_backbone(group: EpisodeGroup) -> bool:
    """Whether the group's method runs the backbone itself."""
    return group.run.input_mode is InputMode.INPUTS


def joined_scores(answers: list[Any]) -> Tensor:
    """``[episode, item, way]`` of all batches on the CPU; empty for generated texts."""
    scores = [each for each in answers if isinstance(each, Tensor)]
    return torch.cat(scores, dim=1) if scores else torch.empty(0)


def new_method(group: EpisodeGroup, devices: DeviceOptions, measured: bool) -> tuple[AnyMethod, StageMeter | None]:
    """A fresh method for a group, with its backbone on the device where it runs it.

    Args:
        group: The episodes.
        devices: Device and precision.
        measured: Whether costs are measured: making a method is a part of its first stage.

    Returns:
        The method, and the meter of its making; None where nothing is measured.
    """
    backbone, shape, on_inputs = group.source.backbone, group.problem_shape(), runs_backbone(group)
    if on_inputs:
        # Before the method is made: what it computes then, such as a start from some states, is always the same.
        backbone.to(devices.root_device())
    device = devices.working_device(on_inputs)
    return measured_before(lambda: group.run.make_method(backbone, shape), device, measured)


def token_meter(method: AnyMethod) -> TokenMeter:
    """A meter of the tokens that a method's language model reads; it counts nothing for other backbones."""
    return TokenMeter(method.backbone.causal_lm if isinstance(method.backbone, LanguageBackbone) else None)


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


def optimizer_state_bytes(trainer: Trainer) -> int:
    """Bytes that a trainer's optimizers keep besides the parameters."""
    return sum(_optimizer_bytes(optimizer) for optimizer in trainer.optimizers)


def _optimizer_bytes(optimizer: Any) -> int:
    kept = (tensor for state in optimizer.state.values() for tensor in state.values())
    return sum(tensor.nbytes for tensor in kept if isinstance(tensor, Tensor))


def flops_per_step(counts: list[int]) -> int:
    """Operations of one step, from the counts after each; the first count may include preparation."""
    return (counts[-1] - counts[0]) // (len(counts) - 1) if len(counts) > 1 else 0
