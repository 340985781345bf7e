"""Adaptation to the tasks of a sequence one after the other, and the answers after each."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bench.contracts import AnyMethod, Continual
from bench.data.batches import EpisodeGroup
from bench.data.episodes import PADDING
from bench.engine.adapt import AdaptOptions, adapt_and_answer, device_note, flops_per_step
from bench.engine.group_result import GroupResult, StageAnswers
from bench.engine.lightning_module import Adaptation, GradientAdaptation
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
from bench.meters.stage import StageCost, StageMeter, measured_before

TEXT_WINDOW = 256
"""Tokens of a window in which generic texts are scored."""


def adapt_in_stages(group: EpisodeGroup, devices: DeviceOptions, options: AdaptOptions | None = None) -> GroupResult:
    """Adapt one method to the support sets of a sequence in order, and answer the queries of all tasks.

    Args:
        group: Episodes of a sequence of tasks.
        devices: Device and precision.
        options: Number of steps of each stage, and counting. With ``texts``, queries are also answered before the first
            stage, after each, and by fresh methods that learn a later task alone. No limits are held.

    Returns:
        Predictions after the last stage, costs of all stages together, and the answers of each.
    """
    return _InStages(group, devices, options or AdaptOptions()).result()


def answered(group: EpisodeGroup, devices: DeviceOptions, options: AdaptOptions | None = None) -> GroupResult:
    """Adapt and answer: in stages where the episodes are those of a sequence of tasks."""
    return (adapt_in_stages if group.episodes.stages else adapt_and_answer)(group, devices, options)


@dataclass(frozen=True)
class _Learnt:
    """What learning one support set took.

    Attributes:
        module: The method's module of this stage.
        labels: Labelled examples, over all episodes.
        steps: Optimizer steps.
        tokens: Tokens that a language model read.
        seconds: Seconds of adapting.
        optimizer_bytes: Bytes that the optimizer keeps besides the parameters.
    """

    module: Adaptation
    labels: int = 0
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    optimizer_bytes: int = 0


@dataclass
class _InStages:
    """One group of episodes of a sequence.

    Attributes:
        group: The episodes.
        devices: Device and precision.
        options: See ``adapt_in_stages``.
        counter: Meter of operations; None where they are not counted.
        found: Answers so far.
    """

    group: EpisodeGroup
    devices: DeviceOptions
    options: AdaptOptions
    counter: FlopMeter | None = field(default=None, init=False)
    found: list[StageAnswers] = field(default_factory=list, init=False)

    def result(self) -> GroupResult:
        """Predictions and costs."""
        parts, measured = self.group.stages(), self.options.measured
        each_stage = self.options.texts is not None
        self.counter = FlopMeter() if self.options.counted else None
        learnt: list[_Learnt] = []
        with self.counter or nullcontext():
            method, before = new_method(self.group, self.devices, measured)
            if each_stage:
                self._keep(0, _Learnt(self._unadapted(method)))
            for number, part in enumerate(parts, start=1):
                first = learnt[0].module.adapting if learnt and method.uses_support else None
                if number > 1 and isinstance(method, Continual):
                    device = self.devices.working_device(runs_backbone(self.group))
                    _, before = measured_before(method.continue_adapt, device, measured, first)
                learnt.append(self._learn(method, part, before, first))
                if each_stage and number < len(parts):
                    self._keep(number, learnt[-1])
            adapt_flops = self.counter.total if self.counter and method.uses_support else 0
            scores = self._scores(learnt[-1].module)
            query_flops = self.counter.total - adapt_flops if self.counter else 0
            query = learnt[-1].module.answering.cost
            if each_stage:
                self._keep(len(parts), learnt[-1], scores)
                for number, part in enumerate(parts[1:], start=2):
                    alone = self._learn(new_method(self.group, self.devices, measured=False)[0], part)
                    self._keep(number, alone, from_base=True)
        losses = [each.module.losses for each in learnt if isinstance(each.module, GradientAdaptation)]
        return GroupResult(
            scores=scores,
            texts=[],
            adapt=_together([each.module.adapting.cost for each in learnt])
            if method.uses_support
            else StageCost(0.0, 0.0, query.memory_meter),
            query=query,
            n_queries=int((self.group.episodes.query != PADDING).sum()),
            state_bytes=method.state_bytes(),
            optimizer_bytes=max(each.optimizer_bytes for each in learnt),
            trainable_params=method.trainable_params(),
            steps=sum(each.steps for each in learnt),
            tokens=sum(each.tokens for each in learnt) + method.context_tokens(),
            step_seconds=0.0,
            closing_seconds=0.0,
            adapt_flops=adapt_flops,
            step_flops=flops_per_step(learnt[-1].module.flops_at_steps),
            query_flops=query_flops,
            losses=[float(loss) for stage in losses for loss in stage],
            notes=method.notes | device_note(self.devices, runs_backbone(self.group)),
            stages=tuple(self.found),
        )

    def _module(self, method: AnyMethod) -> Adaptation:
        module = adaptation_of(method)
        module.adapting.measures_memory = module.answering.measures_memory = self.options.measured
        module.counter = self.counter
        return module

    def _unadapted(self, method: AnyMethod) -> Adaptation:
        """A module whose answers do not count from the memory baseline of an adapt stage, as there was none."""
        module = self._module(method)
        module.answering = StageMeter()
        module.answering.measures_memory = self.options.measured
        return module

    def _learn(
        self, method: AnyMethod, part: EpisodeGroup, before: StageMeter | None = None, first: StageMeter | None = None
    ) -> _Learnt:
        """Adapt a method to the support sets of one task, from its present state on.

        Args:
            method: The method.
            part: The group with the support sets of that task.
            before: Meter of work that belongs to the stage, such as the method's making.
            first: The first task's stage, whose memory counts in all later ones; None for the first task.

        Returns:
            What it took.
        """
        module = self._module(method) if method.uses_support else self._unadapted(method)
        module.adapting.after = first
        if before is not None:
            module.first_stage.count(before)
        if not method.uses_support:
            return _Learnt(module)
        tokens = token_meter(method)
        with tokens:
            trainer = fit(module, part, self.devices, self.options.most_steps, [])
        return _Learnt(
            module,
            int((part.episodes.support != PADDING).sum()),
            trainer.global_step,
            tokens.count,
            module.adapting.cost.seconds,
            optimizer_state_bytes(trainer),
        )

    def _scores(self, module: Adaptation) -> Tensor:
        return joined_scores(answer(module, self.group, self.devices, []))

    def _keep(self, number: int, learnt: _Learnt, scores: Tensor | None = None, *, from_base: bool = False) -> None:
        """Keep the answers after a stage, which are made here unless they are given."""
        scores = self._scores(learnt.module) if scores is None else scores
        method: Any = learnt.module.method
        model = method.language_model() if isinstance(method, Continual) else None
        self.found.append(
            StageAnswers(
                stage=number,
                from_base=from_base,
                scores=scores,
                labels=learnt.labels,
                steps=learnt.steps,
                tokens=learnt.tokens,
                seconds=learnt.seconds,
                text_nll=() if model is None else text_nll(model, self.options.texts or ()),
            )
        )


def text_nll(model: Any, texts: Sequence[str]) -> tuple[float, ...]:
    """Negative log-likelihood per token of some texts.

    Args:
        model: A language model, adapted or not.
        texts: The texts.

    Returns:
        ``[text]`` in nats.
    """
    if not texts:
        return ()
    with torch.no_grad():
        sums, tokens = model.eval().loglikelihood_rolling(list(texts), TEXT_WINDOW, None).double().unbind(dim=1)
    return tuple((sums / tokens.clamp(min=1)).tolist())


def _together(costs: Sequence[StageCost]) -> StageCost:
    """Sum of the seconds of several stages, and their largest memory."""
    reserved = [cost.reserved_memory_mb for cost in costs if cost.reserved_memory_mb is not None]
    return StageCost(
        sum(cost.seconds for cost in costs),
        max(cost.peak_memory_mb for cost in costs),
        costs[-1].memory_meter,
        max(reserved) if reserved else None,
    )
