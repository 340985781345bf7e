"""Fast weights by a decaying Hebbian rule (Ba et al. 2016)."""

import math
from typing import Annotated

import torch
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor
from torch.nn.functional import normalize

from bench.contracts import (
    AssociativeConfig,
    AssociativeMethod,
    Backbone,
    Memory,
    MultiSiteMethod,
    ProblemShape,
    Query,
    Support,
    Tokens,
    Tune,
)
from bench.toolkit.hidden_states import HiddenStateConfig, HiddenStateMethod, whole_texts
from methods._hebbian_memory import NEGLIGIBLE, CosineHebbian, HebbianMemory, Length
from methods._held_out import Sample

SOURCE = "Ba et al. 2016, Using Fast Weights to Attend to the Recent Past, arXiv 1610.06258"


class HebbianOnFeaturesConfig(AssociativeConfig):
    """Hyper-parameters of Hebbian fast weights on features."""

    decay: Annotated[float, Tune(0.5)] = Field(
        default=0.95,
        gt=0,
        le=1,
        description="What a pair's weight is multiplied by at every later pair; 0.95 remembers about 20 pairs, 1 all.",
    )


class HebbianOnFeatures(AssociativeMethod):
    """Hebbian memory; its answer is scaled to the length of the query's prior and mixed with it by ``N / (N0 + N)``.

    A support set comes sorted by class, and a memory that decays would know the last classes alone. So pairs arrive
    in an order shuffled by the problem's seed, whatever order they are given in. Of the shuffled pairs only the last
    that still weigh something are kept until solve: 360 for a decay of 0.95, none for a decay of 1.
    """

    Config = HebbianOnFeaturesConfig
    config: HebbianOnFeaturesConfig
    source = SOURCE

    def __init__(self, config: HebbianOnFeaturesConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._recent: Sample | None = None
        self._values: Tensor | None = None

    def make_memory(self) -> HebbianMemory:
        """Empty fast weights for the problem's shapes."""
        shape = self.shape
        return HebbianMemory(shape.n_episodes, shape.key_dim, shape.value_dim, self.config.decay)

    def observe(self, support: Support) -> None:
        """Pass the batch on if its order does not matter; else keep what will come last."""
        if self.config.decay == 1:
            super().observe(support)
            return
        batch = Sample.of(support, self.shape.seed)
        recent = batch if self._recent is None else Sample.joined([self._recent, batch])
        last = math.ceil(math.log(NEGLIGIBLE) / math.log(self.config.decay))
        self._recent = recent.shuffled().part(slice(0, last))
        self._values = support.classes.class_embeddings
        self.count += support.mask.sum(dim=1)

    def solve(self) -> None:
        """Let the kept pairs arrive, those with the lowest draws last."""
        if self._recent is not None and self._values is not None:
            index = self._recent.labels.unsqueeze(-1).expand(-1, -1, self._values.shape[-1])
            values = self._values.gather(1, index)
            self.memory.observe(self._recent.keys.flip(1), values.flip(1), self._recent.mask.flip(1))
            self._recent = self._values = None
        super().solve()

    def recall(self, query: Query) -> Tensor:
        """``M x`` at the length of the prior; 0 where nothing was observed."""
        length: Tensor = torch.linalg.vector_norm(query.prior, dim=-1, keepdim=True)
        return normalize(super().recall(query), dim=-1) * length


class HebbianOnHiddenStatesConfig(HiddenStateConfig):
    """Hyper-parameters of Hebbian fast weights on hidden states."""

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

    @model_validator(mode="after")
    def _order_needs_all_pairs(self) -> "HebbianOnHiddenStatesConfig":
        if self.pairs != "all" and self.decay < 1:
            raise PydanticCustomError(
                "pairs", f"pairs={self.pairs} needs decay=1, where the order of pairs does not matter"
            )
        return self


class HebbianOnHiddenStates(HiddenStateMethod):
    """Hebbian memory before some blocks and before the final norm; see HiddenStateMethod for keys and values.

    With a decay, tokens arrive in the order of their text, and texts in the order given; examples of classes come
    sorted by them, so their order is shuffled by the problem's seed. Tokens that would have decayed to nothing are
    not read: of the last texts, 0.95 reads the windows with the last 360 pairs.

    By default its answers are as long as what it learnt, so that ``output_mix`` means the same share for every memory:
    hidden states before the final norm are many times longer than embeddings, and an answer of their length, however
    little it knows, is nearly all that the norm passes on. ``length=state`` scales them so, as on features.
    """

    Config = HebbianOnHiddenStatesConfig
    config: HebbianOnHiddenStatesConfig
    source = SOURCE

    def __init__(self, config: HebbianOnHiddenStatesConfig, backbone: Backbone, shape: ProblemShape) -> None:
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


class Hebbian(MultiSiteMethod):
    """A decaying sum of outer products, one pair after another: the fast weights of Ba et al. 2016, without a network.

    The paper's layer is ``h_{s+1}(t+1) = f(LN[W h(t) + C x(t) + A(t) h_s(t+1)])`` with ``A(t) = 0.95 A(t-1) + 0.5 h(t)
    h(t)^T``, and slow weights W and C trained by backpropagation through time. Here is A alone, as a memory that is
    compiled by forward passes:

    - The decay is the paper's. Its rate only scales A and is left out, as answers are scaled to a length anyway.
    - Keys and values are two vectors (hetero-associative), where the paper stores one state as both.
    - A query is read once, without layer normalisation, where the paper reads S >= 1 times with it.
    - Pairs come in a shuffled order, as support sets are sorted by class, where the paper has the order of a sequence.

    So a result of this method says nothing about recurrent networks with fast weights: ``examples/fast_weights_rnn.py``
    trains these. The tasks ``recall`` and ``associative_retrieval`` show what such a memory holds and what it cannot.
    """

    features = HebbianOnFeatures
    hidden_states = HebbianOnHiddenStates


PLUGIN = Hebbian
