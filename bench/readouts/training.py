"""Training of the readouts of middle memories with a frozen backbone (FAAST, arXiv 2605.04651).

Each step stores a batch in the memories and then predicts it. First the backbone runs on the batch without memories,
and each middle memory's fast weights W are solved from the batch's own pairs of hidden states, with values weighted by
``sigmoid(s . [k; v])``. Then the backbone runs again with ``h <- h + O dropout(W h)``, which gives the loss of the next
tokens. The output memory has no parameters and is left out.

The loss is differentiated with respect to O, and with respect to s through the weighted values and the solve. Keys come
from the backbone without memories and depend on neither, so that ``W = V^T pinv(K)^T`` is linear in the weighted
values: its gradient is exact, and the pseudo-inverse itself needs no gradient.

A batch with fewer tokens than the width of the model can be memorised completely: W then returns the next state.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.contracts import LanguageBackbone, UsageError
from bench.readouts.corpus import stream
from bench.readouts.frozen import FrozenTraining, TrainingRecipe
from bench.toolkit.hooks import gated_values, input_hooks, memory_layers
from bench.toolkit.least_squares import dual_weights, primal_weights
from bench.toolkit.readout_files import Readout


@dataclass(frozen=True)
class Recipe(TrainingRecipe):
    """Hyper-parameters of a training; defaults are the published ones where a CPU can afford them.

    Attributes:
        memories: Number of middle memories.
        dropout: Dropout rate of a memory's answers.
        alpha: Exponent of the cut-off of the solve, as in FAAST.
    """

    memories: int = 2
    dropout: float = 0.1
    alpha: float = 1.0


def warmup_steps(steps: int) -> int:
    """Default number of warm-up steps: 500 as published, a tenth of the steps in trainings of fewer than 5,000.

    Args:
        steps: Number of optimizer steps.

    Returns:
        Number of warm-up steps.
    """
    return min(500, steps // 10)


def batch_weights(keys: Tensor, values: Tensor, alpha: float) -> Tensor:
    """Fast weights of the pairs of a batch, differentiable in the values.

    Args:
        keys: ``[pair, dim]``, without gradient.
        values: ``[pair, dim]``.
        alpha: Singular values below ``n_pairs ** -alpha`` of the largest are cut off.

    Returns:
        ``W [dim, dim]`` in float32, solved in float64.
    """
    keys, values = keys.double().unsqueeze(0), values.double().unsqueeze(0)
    n_pairs, width = keys.shape[1:]
    rtol = keys.new_full((1,), float(n_pairs) ** -alpha)
    if n_pairs < width:
        return dual_weights(keys, values, rtol)[0].float()
    return primal_weights(keys.mT @ keys, keys.mT @ values, rtol)[0].float()


class _ReachedError(Exception):
    """Ends the forward pass once the states of the last memory are known."""


class ReadoutTraining(FrozenTraining):
    """Lightning module that trains the readouts of a backbone.

    Attributes:
        scorers: ``[1, 2 dim]`` per memory, the weights s of the gate.
        outs: ``[dim, dim]`` per memory, the output projections O.
    """

    recipe: Recipe

    def __init__(
        self, backbone: LanguageBackbone, recipe: Recipe, identity: dict[str, str | int | float] | None = None
    ) -> None:
        """Make zero-initialised readouts.

        Args:
            backbone: The frozen language model.
            recipe: Hyper-parameters, with the final number of steps.
            identity: Facts saved with each checkpoint, to be compared before it is resumed.

        Raises:
            UsageError: If the model has too few blocks for the number of memories.
        """
        super().__init__(backbone, recipe, identity)
        blocks = list(backbone.blocks)
        if not 0 < recipe.memories < len(blocks):
            raise UsageError(
                f"--memories must be 1 to {len(blocks) - 1} for a model of {len(blocks)} blocks, got {recipe.memories}"
            )
        self._places = [blocks[site] for site in memory_layers(len(blocks), recipe.memories)]
        width = backbone.width
        self.scorers = nn.ParameterList([nn.Parameter(torch.zeros(1, 2 * width)) for _ in self._places])
        self.outs = nn.ParameterList([nn.Parameter(torch.zeros(width, width)) for _ in self._places])

    @property
    def readouts(self) -> list[Readout]:
        """The present readouts, in the order of the memories."""
        return [Readout(scorer, out) for scorer, out in zip(self.scorers, self.outs, strict=True)]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW without weight decay; linear warm-up, then cosine decay to 0."""
        return self.scheduled([*self.scorers, *self.outs])

    def fast_weights(self, ids: Tensor) -> list[Tensor]:
        """Fast weights of each memory from the pairs of one batch.

        Args:
            ids: ``[window, position]``, token ids.

        Returns:
            ``W [dim, dim]`` of each memory.
        """
        weights = []
        for state, scorer in zip(self._states(ids), self.scorers, strict=True):
            keys, values = state[:, :-1].flatten(0, 1), state[:, 1:].flatten(0, 1)
            weights.append(batch_weights(keys, gated_values(keys, values, scorer), self.recipe.alpha))
        return weights

    @torch.no_grad()
    def _states(self, ids: Tensor) -> list[Tensor]:
        """Hidden states ``[window, position, dim]`` at each memory in float32, of the backbone without memories."""
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
        # Seeded by the step, so that a resumed training has the same dropout as an uninterrupted one.
        generator = stream("dropout", recipe.seed, self.global_step, number, device=weights.device)

        def change(states: Tensor) -> Tensor:
            answer = states.float() @ weights.mT
            kept = torch.rand(answer.shape, generator=generator, device=answer.device) >= recipe.dropout
            answer = answer * kept / (1 - recipe.dropout)
            added: Tensor = (answer @ self.outs[number].mT).to(states.dtype)
            return states + added

        return change

    def training_step(self, batch: Tensor, batch_idx: int = 0) -> Tensor:
        """Loss of the next tokens of a batch with its own fast weights.

        Args:
            batch: ``[window, position]``, token ids.
            batch_idx: Unused number of the batch.

        Returns:
            Scalar cross-entropy in nats per token.

        Raises:
            NumericalError: If the loss is not finite.
        """
        middles = [self._middle(number, weights) for number, weights in enumerate(self.fast_weights(batch))]
        with input_hooks(list(zip(self._places, middles, strict=True))):
            logits = self._run(batch).logits
        loss = cross_entropy(logits[:, :-1].flatten(0, 1).float(), batch[:, 1:].flatten())
        self.keep_loss(loss)
        return loss
