"""Training the readouts of middle memories while the backbone stays as it is (FAAST, arXiv 2605.04651).

At each step a batch is learnt and then predicted. The backbone runs on it without memories; each middle memory's
fast weights W are solved from the batch's own pairs of hidden states, values weighted by ``sigmoid(s . [k; v])``;
and the backbone runs again with ``h <- h + O dropout(W h)``, which gives the loss of the next tokens. The output
memory has nothing to train and takes no part.

What is differentiated: the loss with respect to O, and with respect to s through the weights and the solve. Keys come
from the backbone without memories and depend on neither, so that ``W = V^T pinv(K)^T`` is linear in the weighted
values: its gradient is exact, and the pseudo-inverse itself needs none.

A batch with fewer tokens than the model is wide can be memorised whole: W then answers with the very next state.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.contracts import LanguageBackbone, NumericalError, UsageError
from bench.readouts.corpus import stream
from bench.toolkit.hooks import gated_values, input_hooks, memory_layers
from bench.toolkit.least_squares import dual_weights, primal_weights
from bench.toolkit.readout_files import Readout


@dataclass(frozen=True)
class Recipe:
    """How readouts are trained; defaults are published where a CPU can afford them.

    steps, warmup: optimizer steps. window: tokens of a row. batch: windows of a step. alpha: cut-off of the solve,
    as in faast_lm.
    """

    steps: int
    memories: int = 2
    window: int = 256
    batch: int = 4
    learning_rate: float = 2e-5
    warmup: int = 0
    dropout: float = 0.1
    alpha: float = 1.0
    seed: int = 0


def warmup_steps(steps: int) -> int:
    """500 as published; a tenth of a run that is shorter than 5,000 steps."""
    return min(500, steps // 10)


def batch_weights(keys: Tensor, values: Tensor, alpha: float) -> Tensor:
    """Fast weights ``W [dim, dim]`` in float32 of pairs ``[pair, dim]``, solved in float64; see the module.

    Differentiable in the values; keys must need no gradient.
    """
    keys, values = keys.double().unsqueeze(0), values.double().unsqueeze(0)
    n_pairs, width = keys.shape[1:]
    rtol = keys.new_full((1,), float(n_pairs) ** -alpha)
    if n_pairs < width:
        return dual_weights(keys, values, rtol)[0].float()
    return primal_weights(keys.mT @ keys, keys.mT @ values, rtol)[0].float()


class _ReachedError(Exception):
    """The last memory's states are there; what the model computes after them is not needed."""


class ReadoutTraining(LightningModule):
    """Readouts of a backbone, trained by a recipe.

    identity: what a checkpoint must agree with to be resumed.
    """

    def __init__(
        self, backbone: LanguageBackbone, recipe: Recipe, identity: dict[str, str | int | float] | None = None
    ) -> None:
        super().__init__()
        self.backbone, self.recipe, self.identity = backbone, recipe, identity or {}
        blocks = list(backbone.blocks)
        if not 0 < recipe.memories < len(blocks):
            raise UsageError(
                f"--memories must be 1 to {len(blocks) - 1} for a model of {len(blocks)} blocks, got {recipe.memories}"
            )
        self._places = [blocks[site] for site in memory_layers(len(blocks), recipe.memories)]
        width = backbone.width
        self.scorers = nn.ParameterList([nn.Parameter(torch.zeros(1, 2 * width)) for _ in self._places])
        self.outs = nn.ParameterList([nn.Parameter(torch.zeros(width, width)) for _ in self._places])
        self.losses: list[float] = []
        self.on_step: Callable[[int, float], None] | None = None
        # A checkpoint holds no backbone, so that loading one leaves it as it is.
        self.strict_loading = False

    @property
    def readouts(self) -> list[Readout]:
        """What has been trained, in the order of the memories."""
        return [Readout(scorer, out) for scorer, out in zip(self.scorers, self.outs, strict=True)]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW without weight decay; a linear warm-up, then a cosine to 0."""
        optimizer = torch.optim.AdamW(
            [*self.scorers, *self.outs], lr=self.recipe.learning_rate, betas=(0.9, 0.999), weight_decay=0.0
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _share(self, step: int) -> float:
        """Share of the learning rate at a step, counted from 0."""
        warmup, steps = self.recipe.warmup, self.recipe.steps
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    def fast_weights(self, ids: Tensor) -> list[Tensor]:
        """``W [dim, dim]`` of each memory from the pairs of a batch ``[window, position]``."""
        weights = []
        for state, scorer in zip(self._states(ids), self.scorers, strict=True):
            keys, values = state[:, :-1].flatten(0, 1), state[:, 1:].flatten(0, 1)
            weights.append(batch_weights(keys, gated_values(keys, values, scorer), self.recipe.alpha))
        return weights

    @torch.no_grad()
    def _states(self, ids: Tensor) -> list[Tensor]:
        """The hidden states where the memories stand, in float32, of the backbone without them."""
        states: list[Tensor] = []

        def take(state: Tensor) -> None:
            states.append(state.float())
            if len(states) == len(self._places):
                raise _ReachedError

        with input_hooks([(place, take) for place in self._places]), suppress(_ReachedError):
            self._run(ids)
        return states

    def _run(self, ids: Tensor) -> Any:
        return self.backbone.causal_lm(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)

    def _middle(self, number: int, weights: Tensor) -> Callable[[Tensor], Tensor]:
        recipe = self.recipe
        # Drawn by step, so that a resumed run drops what an uninterrupted one would have dropped.
        generator = stream("dropout", recipe.seed, self.global_step, number, device=weights.device)

        def change(states: Tensor) -> Tensor:
            answer = states.float() @ weights.mT
            kept = torch.rand(answer.shape, generator=generator, device=answer.device) >= recipe.dropout
            answer = answer * kept / (1 - recipe.dropout)
            added: Tensor = (answer @ self.outs[number].mT).to(states.dtype)
            return states + added

        return change

    def training_step(self, batch: Tensor, batch_idx: int = 0) -> Tensor:
        """Learn a batch of tokens ``[window, position]``, then predict it. Raises NumericalError for a bad loss."""
        middles = [self._middle(number, weights) for number, weights in enumerate(self.fast_weights(batch))]
        with input_hooks(list(zip(self._places, middles, strict=True))):
            logits = self._run(batch).logits
        loss = cross_entropy(logits[:, :-1].flatten(0, 1).float(), batch[:, 1:].flatten())
        value = float(loss.detach())
        if not math.isfinite(value):
            raise NumericalError(f"the loss at step {self.global_step + 1} is {value}; use a smaller --lr")
        self.losses.append(value)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Tell of the step."""
        self.log("loss", self.losses[-1])
        if self.on_step is not None:
            self.on_step(self.global_step, self.losses[-1])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the backbone out, which has not changed; keep what the run is."""
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: state[name] for name in state if not name.startswith("backbone.")}
        checkpoint["readouts"] = {"identity": self.identity, "losses": list(self.losses)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the list of losses."""
        self.losses = list(checkpoint["readouts"]["losses"])
