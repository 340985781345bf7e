"""The prior strength of an associative method, chosen on its support set: N0 as ``auto``."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from bench.contracts import AssociativeConfig, AssociativeMethod, Backbone, Classes, ProblemShape, Query, Support, Tune
from methods._choice import chosen
from methods._held_out import Sample, StreamedSample
from methods._moments import class_sizes
from methods._pairs import StoredPairs
from methods._reservoir import COUNTER, Reservoir

Auto = Literal["auto"]
Count = Annotated[float, Field(ge=0)]
PRIOR_STRENGTHS = (0.0, *(10 ** (halves / 2) for halves in range(9)))
"""What ``auto`` chooses from, beside the task's or backbone's value."""
AUTO_BYTES = 4
"""Bytes of an episode's own prior strength."""


def with_own_prior_strengths(method: AssociativeMethod) -> None:
    """Give each episode a prior strength of its own, at first the task's or backbone's; answers need it as state."""
    shape = method.shape
    del method.prior_strength
    method.register_buffer("prior_strength", torch.full((shape.n_episodes,), shape.prior_strength))


def mixed(prior: Tensor, recalled: Tensor, count: Tensor, prior_strength: float) -> Tensor:
    """``(1 - r) prior + r recalled`` with ``r = N / (N0 + N)``.

    Args:
        prior: ``[episode, item, dim_v]``.
        recalled: ``[episode, item, dim_v]``.
        count: ``[episode]``, N.
        prior_strength: N0.

    Returns:
        ``[episode, item, dim_v]``.
    """
    count = count.to(prior.dtype)
    share = count / (prior_strength + count).clamp(min=torch.finfo(count.dtype).tiny)
    return torch.lerp(prior, recalled, share.view(-1, 1, 1))


class StoredPairsConfig(AssociativeConfig):
    """Hyper-parameters of methods that keep every pair."""

    # Wider than the base's field, which is given a number in the place of ``auto``.
    prior_strength: Annotated[Count | Auto | None, Tune(0.1, 1e4, log=True)] = Field(  # type: ignore[assignment]
        default="auto",
        description="Examples that the frozen model's own answer is worth. auto: the likeliest from 0 to 10,000 when "
        "each example is left out, or the task's or backbone's value, which null always takes.",
    )


class StoredPairsMethod(AssociativeMethod):
    """An associative method that keeps its pairs, and chooses N0 by answers without the pair of the item in question.

    N0 is the task's or the backbone's value unless another from 0 to 10,000 is likelier by more than a standard error
    (see ``methods._choice.chosen``), with up to 32 items of each class, the answer for each item made of all other
    pairs. With one example per class nothing can be said of an answer without it, and the value stays.
    """

    family = "memory"
    Config = StoredPairsConfig
    config: StoredPairsConfig
    memory: StoredPairs

    def __init__(self, config: StoredPairsConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        # Without class embeddings there is no prior, and so nothing to choose.
        self._auto = config.prior_strength == "auto" and shape.value_dim > 0
        self._sample = StreamedSample(shape.n_way)
        self._sizes: Tensor | float = 0.0
        if self._auto:
            with_own_prior_strengths(self)

    def reservoir(self) -> Reservoir:
        """The bound of the store, if there is one."""
        auto = AUTO_BYTES if self.config.prior_strength == "auto" and self.shape.value_dim else 0
        return Reservoir.of(self.shape, COUNTER + auto)

    def observe(self, support: Support) -> None:
        """Keep keys and values, in balance where they are bounded, and count items."""
        batch = Sample.of(support, self.shape.seed)
        self.memory.observe(support.keys, self.stored_values(support), support.mask, support.labels, batch.draw)
        self.count += support.mask.sum(dim=1)
        if self._auto:
            self._sample.add(batch)
            self._sizes += class_sizes(support.labels, support.mask, self.shape.n_way)
            self._classes = support.classes

    def solve(self) -> None:
        """Join the batches, then choose N0 where it is ``auto``."""
        super().solve()
        if self._sample:
            assert isinstance(self._sizes, Tensor)
            self._choose(self._sample.lowest(), self._sizes, self._classes)
            self._sample, self._sizes = StreamedSample(self.shape.n_way), 0.0
        self.memory.forget_draws()

    def recalled(self, keys: Tensor, classes: Classes, left_out: Tensor | None = None) -> Tensor:
        """Values recalled for keys.

        Args:
            keys: ``[episode, item, dim_k]``.
            classes: The classes of each episode.
            left_out: ``[episode, item]``, draws of the pairs to leave out of each answer, before they are forgotten.

        Returns:
            ``[episode, item, dim_v]``.
        """
        answer = self.memory.read(keys, left_out)
        return answer @ classes.class_embeddings if self.stores_labels else answer

    def recall(self, query: Query) -> Tensor:
        """``[episode, item, dim_v]``, of the memory alone."""
        return self.recalled(query.keys, query.classes)

    def _choose(self, sample: Sample, sizes: Tensor, classes: Classes) -> None:
        answers = self.recalled(sample.keys, classes, sample.draw)
        others = (self.count - 1).clamp(min=0)
        strengths = (self.shape.prior_strength, *PRIOR_STRENGTHS)
        candidates = (
            self.backbone.class_logits(mixed(sample.prior, answers, others, strength), classes)
            for strength in strengths
        )
        mask = sample.mask & (sizes.gather(1, sample.labels) > 1)
        best = chosen(candidates, sample.labels, mask, "likelihood")
        self.prior_strength = sample.prior.new_tensor(strengths)[best]
        self.notes["chosen_prior_strength"] = float(self.prior_strength.median())
