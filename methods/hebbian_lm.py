"""Hebbian fast weights inside a language model: a decaying sum of outer products of hidden states (Ba et al. 2016)."""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from bench.contracts import Backbone, Memory, ProblemShape, Support, Tokens, Tune
from methods._examples import whole_texts
from methods._inside import HiddenStateConfig, HiddenStateMemory
from methods._pairs import without_padding
from methods.hebbian import NEGLIGIBLE, HebbianMemory

Length = Literal["values", "state"]


class HebbianLmConfig(HiddenStateConfig):
    """Hyper-parameters of Hebbian fast weights inside a language model."""

    decay: Annotated[float, Tune(0.5)] = Field(
        default=0.95,
        gt=0,
        le=1,
        description="What a pair's weight is multiplied by at every later pair; 0.95 remembers about 20 tokens, 1 all.",
    )
    length: Length = Field(
        default="values",
        description="What an answer is as long as. values: the values in the memory, as answers of the other memories "
        "are. state: the state that asks, as in features; that is far longer, and hardly leaves the model a say.",
    )


class CosineHebbian(HebbianMemory):
    """``M <- decay M + v k^T`` with keys of unit length; the answer ``M x`` is scaled to a length.

    Hidden states differ in length a hundredfold, and a few would be all that a sum of products remembers. ``M x``
    itself is of no length that means anything: it grows with the pairs that are remembered.

    length: ``state``, that of x. ``values``, the mean of the values' lengths, each counted by what the memory has
    left of it: as an answer of softmax memory or of a fit, ``M x`` then is no longer than what was learnt.
    """

    def __init__(self, n_episodes: int, key_dim: int, value_dim: int, decay: float, length: Length) -> None:
        super().__init__(n_episodes, key_dim, value_dim, decay)
        self.length = length
        self._weighed = torch.zeros(n_episodes, 2, dtype=torch.float64)
        self.register_buffer("value_length", torch.zeros(n_episodes, 1, 1))

    value_length: Tensor
    """``[episode, 1, 1]``."""

    def observe(self, keys: Tensor, values: Tensor, mask: Tensor) -> None:
        """Take in the pairs one after another; a batch of texts of one token has none."""
        if not mask.any():
            return
        super().observe(normalize(keys, dim=-1), values, mask)
        share, left = self.weigh(mask)
        lengths = torch.linalg.vector_norm(without_padding(values, mask).double(), dim=-1)
        new = torch.stack([(share * lengths).sum(dim=1), (share * mask).sum(dim=1)], dim=1)
        self._weighed = self._weighed.to(new) * left + new

    def solve(self) -> None:
        """Round, and take the mean of the lengths."""
        super().solve()
        total, weight = self._weighed.to(self.weights.device).unbind(dim=1)
        # Kept above 0 so that a memory of nothing answers 0, not 0 / 0.
        mean = total / weight.clamp(min=torch.finfo(torch.float32).tiny)
        self.value_length = mean.float().view(-1, 1, 1)

    def read(self, keys: Tensor) -> Tensor:
        """``M x`` at its length; 0 where nothing was observed."""
        of_state = self.length == "state"
        length = torch.linalg.vector_norm(keys, dim=-1, keepdim=True) if of_state else self.value_length
        return normalize(super().read(keys), dim=-1) * length


class HebbianLm(HiddenStateMemory):
    """Hebbian memory for every place; see HiddenStateMemory for what it learns and where it stands.

    With a decay, tokens arrive in the order of their text, and texts in the order given; examples of classes come
    sorted by them, so their order is shuffled by the problem's seed. Tokens that would have decayed to nothing are
    not read: of the last texts, 0.95 reads the windows with the last 360 pairs.

    By default its answers are as long as what it learnt, so that ``output_mix`` means the same share for every memory:
    hidden states before the final norm are many times longer than embeddings, and an answer of their length, however
    little it knows, is nearly all that the norm passes on. ``length=state`` scales them so, as on features.
    """

    Config = HebbianLmConfig
    config: HebbianLmConfig
    source = "Ba et al. 2016, Using Fast Weights to Attend to the Recent Past, arXiv 1610.06258"

    def __init__(self, config: HebbianLmConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._texts: list[str] = []

    def make_memory(self, width: int) -> Memory:
        """Empty fast weights."""
        return CosineHebbian(1, width, width, self.config.decay, self.config.length)

    def observe(self, support: Support) -> None:
        """Learn the texts if their order does not matter; else keep them until all are there."""
        if self.config.decay == 1:
            super().observe(support)
        else:
            self._texts += whole_texts(support, self.shape)

    def solve(self) -> None:
        """Read the last texts, and round."""
        for tokens in reversed(self._last_tokens()):
            self.learn(tokens.ids, tokens.mask)
        self._texts = []
        super().solve()

    def _last_tokens(self) -> list[Tokens]:
        """Batches of the last texts that still weigh something, the last batch first."""
        if self.shape.n_way > 1:
            order = torch.randperm(len(self._texts), generator=self.shape.generator()).tolist()
            texts = [self._texts[index] for index in order]
        else:
            texts = self._texts
        batches: list[Tokens] = []
        left = math.log(NEGLIGIBLE) / math.log(self.config.decay) if texts else 0.0
        for text in reversed(texts):
            # Rows of one text come in its order, as its last window alone may be shorter.
            for tokens in reversed(list(self.backbone.tokens([text], self.config.window))):
                if left <= 0:
                    return batches
                batches.append(tokens)
                left -= float(tokens.mask[:, 1:].sum())
        return batches


PLUGIN = HebbianLm
