"""LoRA on the image tower: low-rank updates of its weights, trained through the whole network."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from bench.contracts import (
    Backbone,
    Classes,
    GradientMethod,
    Inputs,
    Kind,
    MethodConfig,
    Query,
    Reads,
    Setting,
    Support,
)
from methods._adapted import with_lora

CLIP_NORM = 1.0
INPUTS_AT_ONCE = 64
"""Inputs that are encoded together when answering."""


class LoraConfig(MethodConfig):
    """Hyper-parameters of LoRA; rank and alpha are peft's defaults."""

    rank: int = Field(default=8, ge=1, le=1024, description="Rank of an update.")
    alpha: int = Field(default=8, ge=1, le=4096, description="An update is multiplied by alpha / rank.")
    lr: float = Field(default=2e-4, gt=0, le=1, description="AdamW's initial rate; it falls to 0 along a cosine.")
    steps: int = Field(default=100, ge=1, le=1_000_000, description="Optimizer steps.")
    batch_size: int = Field(default=32, ge=1, description="Examples per step.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of an update's inputs that are dropped.")


class ClippedAdamW(AdamW):
    """AdamW on gradients scaled down to a norm of 1 over all parameters where it is larger."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Have the closure make the gradients, if there is one, and only then clip and step."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            nn.utils.clip_grad_norm_(group["params"], CLIP_NORM)
        super().step()
        return loss


class Lora(GradientMethod):
    """Cross-entropy of ``readout(prior)`` with the prior encoded by the adapted network, as CLIP itself answers.

    Adapters stand on attention's projections; in networks without attention on pointwise convolutions. They are in a
    copy, so that the backbone stays as it is, and start as no change at all. Class values are not trained.
    The rate and batch size are those of CLIP-LoRA (arXiv 2405.18541), which takes 500 steps per shot.
    """

    kinds = frozenset({Kind.IMAGE_CLASSIFICATION})
    reads = Reads.INPUTS
    episodes_at_once = 1
    Config = LoraConfig
    config: LoraConfig
    source: ClassVar[str] = "Hu et al. 2022, LoRA: Low-Rank Adaptation of Large Language Models, arXiv 2106.09685"

    def __init__(self, config: LoraConfig, backbone: Backbone, setting: Setting) -> None:
        super().__init__(config, backbone, setting)
        self.steps, self.batch_size = config.steps, config.batch_size
        self.adapted = with_lora(
            backbone, rank=config.rank, alpha=config.alpha, dropout=config.dropout, seed=setting.seed
        )
        self._step = 0

    def loss(self, support: Support) -> Tensor:
        """Mean cross-entropy of the batch's examples."""
        # The network stays in evaluation mode, norms as they are; of it, dropout alone is for training.
        self.adapted.eval()
        for name, module in self.adapted.named_modules():
            if name.endswith("lora_dropout"):
                module.train()
        self._step += 1
        with torch.random.fork_rng():
            torch.manual_seed(self.setting.seed + self._step)
            scores = self._scores(support.inputs, support.classes)
        return cross_entropy(scores, support.labels[support.mask])

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """AdamW on a cosine, with gradients clipped to norm 1: there is one episode, so nothing is shared by it."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = ClippedAdamW(trained, lr=self.config.lr)
        return optimizer, CosineAnnealingLR(optimizer, T_max=self.config.steps)

    def predict(self, query: Query) -> Tensor:
        """Scores ``[1, item, way]``, 0 where an item is padding."""
        self.adapted.eval()
        places = query.inputs.positions[0]
        places = places[places >= 0]
        scores = query.prior.new_zeros(*query.mask.shape, query.classes.n_way)
        if len(places):
            parts = [places[None, start : start + INPUTS_AT_ONCE] for start in range(0, len(places), INPUTS_AT_ONCE)]
            found = [self._scores(Inputs(part, query.inputs.fetch), query.classes) for part in parts]
            scores[query.mask] = torch.cat(found).to(scores)
        return scores

    def state_bytes(self) -> int:
        """Bytes of the adapters; the network they stand in is the backbone's."""
        return sum(parameter.nbytes for parameter in self.parameters() if parameter.requires_grad)

    def _scores(self, inputs: Inputs, classes: Classes) -> Tensor:
        """``[item, way]`` of the items that are no padding."""
        prepared = [self.adapted.prepare(raw) for raw in inputs.episode(0)]
        prior = self.adapted.encode(self.adapted.collate(prepared)).prior
        return self.adapted.readout(prior.unsqueeze(0), classes).squeeze(0)


PLUGIN = Lora
