"""Trainers of a method's two stages: one adapts it to support sets, another has it answer queries."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor

from bench.contracts import AnyMethod, GradientMethod, InputMode, LanguageBackbone
from bench.data.batches import EpisodeGroup, Feed
from bench.engine.feeding import feed_for
from bench.engine.lightning_module import Adaptation, ForwardAdaptation, GradientAdaptation
from bench.engine.trainer import DeviceOptions
from bench.meters.stage import StageMeter, measured_before
from bench.meters.tokens import TokenMeter


class _Stream(Iterable[Any]):
    """Lazily made batches; each ``iter`` starts a new pass."""

    def __init__(self, make: Callable[[], Iterator[Any]]) -> None:
        self.make = make

    def __iter__(self) -> Iterator[Any]:
        return self.make()


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


def optimizer_state_bytes(trainer: Trainer) -> int:
    """Bytes that a trainer's optimizers keep besides the parameters."""
    return sum(_optimizer_bytes(optimizer) for optimizer in trainer.optimizers)


def _optimizer_bytes(optimizer: Any) -> int:
    kept = (tensor for state in optimizer.state.values() for tensor in state.values())
    return sum(tensor.nbytes for tensor in kept if isinstance(tensor, Tensor))
