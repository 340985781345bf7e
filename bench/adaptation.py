"""A method in Lightning: ``fit`` adapts it to support batches, ``predict`` has it answer query batches."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from bench.batching import EpisodeGroup
from bench.contracts import Answers, AnyMethod, ForwardMethod, GradientMethod, Method, Query, Reads, Support
from bench.devices import DeviceOptions
from bench.meter import StageCost, StageMeter


class _Stream(Iterable[Any]):
    """Batches made when they are asked for; a fresh pass at each ``iter``."""

    def __init__(self, make: Callable[[], Iterator[Any]]) -> None:
        self.make = make

    def __iter__(self) -> Iterator[Any]:
        return self.make()


class _Adaptation(LightningModule):
    """What forward-only and gradient methods share: moving batches, answering, measuring."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method
        if method.reads_for(method.setting.kind) is Reads.INPUTS:
            # The method itself hides the backbone from torch; here it has to follow the device.
            self.backbone = method.backbone
        self.adapting = StageMeter()
        self.answering = StageMeter(after=self.adapting if method.uses_support else None)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch.to(device)

    def on_train_start(self) -> None:
        self.adapting.start(self.device)

    def on_train_end(self) -> None:
        self.adapting.stop()

    def on_predict_start(self) -> None:
        self.answering.start(self.device)

    def on_predict_end(self) -> None:
        self.answering.stop()

    def predict_step(self, batch: Query, batch_idx: int) -> Answers:
        answers = self.method.predict(batch)
        return answers.float().cpu() if isinstance(answers, Tensor) else answers


class ForwardAdaptation(_Adaptation):
    """Observes each support batch once, then solves; the solve belongs to adapting."""

    method: ForwardMethod

    def __init__(self, method: ForwardMethod) -> None:
        super().__init__(method)
        self.automatic_optimization = False

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """There is nothing to optimise."""
        return None

    def training_step(self, batch: Support, batch_idx: int) -> None:
        """Observe one batch."""
        with torch.no_grad():
            self.method.observe(batch)

    def on_train_end(self) -> None:
        """Solve, and only then stop the clock."""
        with torch.no_grad():
            self.method.solve()
        super().on_train_end()


class GradientAdaptation(_Adaptation):
    """Takes the method's optimizer steps on its loss."""

    method: GradientMethod

    def __init__(self, method: GradientMethod) -> None:
        super().__init__(method)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The method's own optimizer, and its schedule by steps."""
        optimizer, schedule = self.method.optimizer()
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: Support, batch_idx: int) -> Tensor:
        """The method's loss on one batch."""
        return self.method.loss(batch)

    def on_train_end(self) -> None:
        """Finish, and only then stop the clock."""
        with torch.no_grad():
            self.method.finish()
        super().on_train_end()


@dataclass(frozen=True)
class Outcome:
    """What came of a group of episodes.

    scores: ``[episode, item, way]``, see Method.predict, on the CPU; empty where texts were written.
    texts: what was written. n_queries: real queries, padding left out.
    """

    scores: Tensor
    texts: list[str]
    adapt: StageCost
    query: StageCost
    n_queries: int
    state_bytes: int
    trainable_params: int
    notes: dict[str, Any]


def adapt_and_answer(make: Callable[[EpisodeGroup], AnyMethod], group: EpisodeGroup, devices: DeviceOptions) -> Outcome:
    """Adapt a fresh method to the group's support sets and have it answer the group's queries.

    A method that uses no support set adapts on nothing: its adapt stage costs what that takes.
    """
    method = make(group)
    runs_backbone = method.reads_for(method.setting.kind) is Reads.INPUTS
    module: _Adaptation
    if isinstance(method, GradientMethod):
        module = GradientAdaptation(method)
        steps = {"max_steps": method.steps, "max_epochs": -1}
        batch_size = method.batch_size
        batches = _Stream(lambda: group.training_batches(batch_size))
    else:
        module = ForwardAdaptation(method)
        steps = {"max_epochs": 1}
        batches = _Stream(group.support_batches)
    if method.uses_support:
        devices.trainer(runs_backbone=runs_backbone, **steps).fit(module, batches)
    trainer = devices.trainer(runs_backbone=runs_backbone)
    answers: list[Any] = trainer.predict(module, _Stream(group.query_batches)) or []
    scores = [answer for answer in answers if isinstance(answer, Tensor)]
    return Outcome(
        scores=torch.cat(scores, dim=1) if scores else torch.empty(0),
        texts=[text for answer in answers if isinstance(answer, list) for text in answer],
        adapt=module.adapting.cost if method.uses_support else StageCost(0.0, 0.0, module.answering.cost.memory_meter),
        query=module.answering.cost,
        n_queries=int((group.labels >= 0).sum()),
        state_bytes=method.state_bytes(),
        trainable_params=method.trainable_params(),
        notes=dict(method.notes),
    )
