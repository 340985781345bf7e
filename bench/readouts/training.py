"""Training of the readouts of middle memories with a frozen backbone (FAAST, arXiv 2605.04651).

Each step stores some windows in the memories and predicts windows with them. First the backbone runs on what is stored
without memories, and each middle memory's fast weights W are solved from its pairs of hidden states, with values
weighted by ``sigmoid(s . [k; v])``. Then the backbone runs on what is predicted with ``h <- h + O dropout(W h)``, which
gives the loss of the next tokens. O begins at 0, where the model is the backbone alone.

As published, a batch is stored and then predicted itself. A memory that has just learnt a batch knows it by heart, so
that O learns to copy from memories, which does not hold for other texts. With ``halves="related"`` each group of
consecutive windows of the corpus has memories of its own, made of its first windows, and the windows that follow are
predicted. The output memory, which has no parameters as published, can have a projection too.

The loss is differentiated with respect to O, and with respect to s through the weighted values and the solve. Keys come
from the backbone without memories and depend on neither, so that ``W = V^T pinv(K)^T`` is linear in the weighted
values: its gradient is exact, and the pseudo-inverse itself needs no gradient.

A batch with fewer tokens than the width of the model can be memorised completely: W then returns the next state.

Normed keys are of length 1 per coordinate, and so are the answers of W to them. What they add is therefore multiplied
by the size of the states at that place, which differs from place to place as steps of the optimizer do not.
"""

from collections.abc import Callable
from contextlib import suppress

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.contracts import LanguageBackbone, UsageError
from bench.readouts.corpus import stream
from bench.readouts.frozen import FrozenTraining
from bench.readouts.recipe import Recipe
from bench.toolkit.hooks import gated_values, input_hooks, memory_layers
from bench.toolkit.least_squares import dual_weights, primal_weights
from bench.toolkit.memory_pairs import memory_keys, memory_values
from bench.toolkit.readout_files import Readout, Readouts


def batch_weights(keys: Tensor, values: Tensor, alpha: float) -> Tensor:
    """Fast weights of the pairs of each group, differentiable in the values.

    Args:
        keys: ``[group, pair, dim]``, without gradient.
        values: ``[group, pair, dim]``.
        alpha: Singular values below ``n_pairs ** -alpha`` of the largest are cut off.

    Returns:
        ``W [group, dim, dim]`` in float32, solved in float64.
    """
    keys, values = keys.double(), values.double()
    n_pairs, width = keys.shape[1:]
    rtol = keys.new_full((len(keys),), float(n_pairs) ** -alpha)
    if n_pairs < width:
        return dual_weights(keys, values, rtol).float()
    return primal_weights(keys.mT @ keys, keys.mT @ values, rtol).float()


class _ReachedError(Exception):
    """Ends the forward pass once the states of the last memory are known."""


class ReadoutTraining(FrozenTraining):
    """Lightning module that trains the readouts of a backbone.

    Attributes:
        scorers: ``[1, 2 dim]`` per middle memory, the weights s of the gate.
        outs: ``[dim, dim]`` per memory, the output projections O; without a rank.
        lefts: ``[dim, rank]`` per memory; with a rank, O is ``left right``.
        rights: ``[rank, dim]`` per memory.
        scales: ``[memory]``, what is added is multiplied by; 1 with hidden states as keys, with normed ones measured at
            the first step and 0 before it.
    """

    recipe: Recipe

    def __init__(
        self, backbone: LanguageBackbone, recipe: Recipe, identity: dict[str, str | int | float] | None = None
    ) -> None:
        """Make readouts with which the model is the backbone alone.

        Args:
            backbone: The frozen language model.
            recipe: Hyper-parameters, with the final number of steps.
            identity: Facts saved with each checkpoint, to be compared before it is resumed.

        Raises:
            UsageError: If the model has too few blocks for the number of memories, if there is no memory, or no other
            group to have memories of.
        """
        super().__init__(backbone, recipe, identity)
        blocks, width = list(backbone.blocks), backbone.width
        if recipe.halves == "unrelated" and recipe.batch < 2:
            raise UsageError(f"--halves unrelated needs a --batch of 2 groups or more, got {recipe.batch}")
        if not (0 if recipe.output else 1) <= recipe.memories < len(blocks):
            raise UsageError(
                f"--memories must be 1 to {len(blocks) - 1} for a model of {len(blocks)} blocks, got {recipe.memories}"
                + ("" if recipe.memories else "; 0 needs --output-readout")
            )
        if recipe.rank > width:
            raise UsageError(f"--rank must be at most the model's width, {width}, got {recipe.rank}")
        self._places = [blocks[site] for site in memory_layers(len(blocks), recipe.memories)]
        if recipe.output:
            self._places.append(backbone.final_norm)
        number = len(self._places)
        self.scorers = nn.ParameterList([nn.Parameter(torch.zeros(1, 2 * width)) for _ in range(recipe.memories)])
        full = 0 if recipe.rank else number
        self.outs = nn.ParameterList([nn.Parameter(torch.zeros(width, width)) for _ in range(full)])
        streams = [stream("rank", recipe.seed, each) for each in range(number - full)]
        low = [torch.randn(recipe.rank, width, generator=each) for each in streams]
        self.lefts = nn.ParameterList([nn.Parameter(torch.zeros(width, recipe.rank)) for _ in low])
        self.rights = nn.ParameterList([nn.Parameter(each / width**0.5) for each in low])
        self.register_buffer("scales", torch.full((number,), 1.0 if recipe.keys == "state" else 0.0))

    scales: Tensor

    @property
    def readouts(self) -> Readouts:
        """The present readouts."""
        recipe = self.recipe
        outs = [scale * self._out(number) for number, scale in enumerate(self.scales)]
        middle = tuple(Readout(*pair) for pair in zip(self.scorers, outs[: recipe.memories], strict=True))
        return Readouts(middle, outs[-1] if recipe.output else None, recipe.keys, recipe.values)

    def _out(self, number: int) -> Tensor:
        out: Tensor = self.lefts[number] @ self.rights[number] if self.recipe.rank else self.outs[number]
        return out

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW without weight decay; linear warm-up, then cosine decay to 0."""
        return self.scheduled([*self.scorers, *self.outs, *self.lefts, *self.rights])

    def fast_weights(self, ids: Tensor, groups: int = 1) -> list[Tensor]:
        """Fast weights of each memory, of each group of windows.

        Args:
            ids: ``[window, position]``, token ids; as many windows of each group, one group after another.
            groups: Number of groups.

        Returns:
            ``W [group, dim, dim]`` of each memory.
        """
        recipe = self.recipe
        states, last = self._states(ids)
        with torch.no_grad():
            found = memory_values(self.backbone, states, recipe.memories, ids, last, recipe.keys, recipe.values)
        if not self.scales.any():
            self._measure(states, found)
        weights = []
        for number, (state, values) in enumerate(zip(states, found, strict=True)):
            keys = memory_keys(state[:, :-1], recipe.keys)
            if number < recipe.memories:
                values = gated_values(keys, values, self.scorers[number])
            keys, values = (each.reshape(groups, -1, each.shape[-1]) for each in (keys, values))
            weights.append(batch_weights(keys, values, recipe.alpha))
        return weights

    def _measure(self, states: list[Tensor], values: list[Tensor]) -> None:
        """Fix the scales of normed keys: the size of a coordinate of the states to that of the values."""
        for number, pair in enumerate(zip(states, values, strict=True)):
            state, value = (each.square().mean(dim=-1).sqrt().median() for each in pair)
            self.scales[number] = state / value

    @torch.no_grad()
    def _states(self, ids: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """Hidden states ``[window, position, dim]`` of the backbone without memories.

        Args:
            ids: ``[window, position]``, token ids.

        Returns:
            Those at each memory, in float32, and what the output layer reads, where values are residuals.
        """
        states: list[Tensor] = []
        whole = self.recipe.values == "residual"
        last: Tensor | None = None

        def take(state: Tensor) -> None:
            states.append(state.float())
            if len(states) == len(self._places) and not whole:
                raise _ReachedError

        with input_hooks([(place, take) for place in self._places]), suppress(_ReachedError):
            last = self.backbone.decoder(
                input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False
            ).last_hidden_state
        return states, last

    def _change(self, number: int, weights: Tensor) -> Callable[[Tensor], Tensor]:
        recipe = self.recipe
        # Seeded by the step, so that a resumed training has the same dropout as an uninterrupted one.
        generator = stream("dropout", recipe.seed, self.global_step, number, device=weights.device)

        def change(states: Tensor) -> Tensor:
            keys = memory_keys(states, recipe.keys)
            answer = (keys.reshape(len(weights), -1, keys.shape[-1]) @ weights.mT).view_as(keys)
            kept = torch.rand(answer.shape, generator=generator, device=answer.device) >= recipe.dropout
            answer = answer * kept / (1 - recipe.dropout)
            added: Tensor = (self.scales[number] * (answer @ self._out(number).mT)).to(states.dtype)
            return states + added

        return change

    def training_step(self, batch: Tensor, batch_idx: int = 0) -> Tensor:
        """Loss of the next tokens of what a batch predicts.

        Args:
            batch: Token ids, ``[window, position]`` with the halves the same, ``[group, window, position]`` related.
            batch_idx: Unused number of the batch.

        Returns:
            Scalar cross-entropy in nats per token.

        Raises:
            NumericalError: If the loss is not finite.
        """
        recipe = self.recipe
        if recipe.halves == "same":
            stored, predicted, groups = batch, batch, 1
        else:
            halves = torch.split(batch, [recipe.stored, recipe.predicted], dim=1)
            (stored, predicted), groups = (half.flatten(0, 1) for half in halves), len(batch)
        weights = self.fast_weights(stored, groups)
        if recipe.halves == "unrelated":
            weights = [each.roll(1, dims=0) for each in weights]
        changes = [self._change(number, each) for number, each in enumerate(weights)]
        with input_hooks(list(zip(self._places, changes, strict=True))):
            logits = self.backbone.causal_lm(
                input_ids=predicted, attention_mask=torch.ones_like(predicted), use_cache=False
            ).logits
        loss = cross_entropy(logits[:, :-1].flatten(0, 1).float(), predicted[:, 1:].flatten())
        self.keep_loss(loss)
        return loss
