"""Hebbian fast weights inside a language model: a decaying sum of outer products of hidden states (Ba et al. 2016)."""

import math

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from bench.contracts import Backbone, Memory, Setting, Support, Tokens
from methods._examples import whole_texts
from methods._inside import Inside, InsideConfig
from methods.hebbian import NEGLIGIBLE, HebbianMemory


class HebbianLmConfig(InsideConfig):
    """Hyper-parameters of Hebbian fast weights inside a language model."""

    decay: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="What a pair's weight is multiplied by at every later pair; 0.95 remembers about 20 tokens, 1 all.",
    )


class CosineHebbian(HebbianMemory):
    """``M <- decay M + v k^T`` with keys of unit length; the answer ``M x`` is scaled to the length of x.

    Hidden states differ in length a hundredfold, and a few would be all that a sum of products remembers.
    At its length the answer weighs as much as its share says. Those of the other memories are as short as the
    embeddings that they learnt, so that the same share of theirs changes a state far less.
    """

    def observe(self, keys: Tensor, values: Tensor, mask: Tensor) -> None:
        """Take in the pairs one after another; a batch of texts of one token has none."""
        if mask.any():
            super().observe(normalize(keys, dim=-1), values, mask)

    def read(self, keys: Tensor) -> Tensor:
        """``M x`` at the length of x; 0 where nothing was observed."""
        length: Tensor = torch.linalg.vector_norm(keys, dim=-1, keepdim=True)
        return normalize(super().read(keys), dim=-1) * length


class HebbianLm(Inside):
    """Hebbian memory for every place; see Inside for what it learns and where it stands.

    With a decay, tokens arrive in the order of their text, and texts in the order given; examples of classes come
    sorted by them, so their order is shuffled by the setting's seed. Tokens that would have decayed to nothing are
    not read: of the last texts, 0.95 reads the windows with the last 360 pairs.
    """

    Config = HebbianLmConfig
    config: HebbianLmConfig
    source = "Ba et al. 2016, Using Fast Weights to Attend to the Recent Past, arXiv 1610.06258"

    def __init__(self, config: HebbianLmConfig, backbone: Backbone, setting: Setting) -> None:
        super().__init__(config, backbone, setting)
        self._texts: list[str] = []

    def make_memory(self, width: int) -> Memory:
        """Empty fast weights."""
        return CosineHebbian(1, width, width, self.config.decay)

    def observe(self, support: Support) -> None:
        """Learn the texts if their order does not matter; else keep them until all are there."""
        if self.config.decay == 1:
            super().observe(support)
        else:
            self._texts += whole_texts(support, self.setting)

    def solve(self) -> None:
        """Read the last texts, and round."""
        for tokens in reversed(self._last_tokens()):
            self.learn(tokens.ids, tokens.mask)
        self._texts = []
        super().solve()

    def _last_tokens(self) -> list[Tokens]:
        """Batches of the last texts that still weigh something, the last batch first."""
        if self.setting.n_way > 1:
            order = torch.randperm(len(self._texts), generator=self.setting.generator()).tolist()
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
