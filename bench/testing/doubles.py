"""Stand-ins for backbones: features without a model, and small networks with random weights."""

import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from bench import registry
from bench.contracts import (
    Backbone,
    Classes,
    DataError,
    Features,
    InputMode,
    Kind,
    LanguageBackbone,
    Method,
    TwoTowerBackbone,
)
from bench.testing.tiny_models import save_model


def _embed(text: str, dim: int) -> Tensor:
    """A unit vector ``[dim]`` drawn from a text."""
    generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
    return normalize(torch.randn(dim, generator=generator), dim=0)


class CosineBackbone(Backbone):
    """Features drawn from an input's text, and CLIP's scores ``scale * normalize(answer) @ class_embeddings^T``."""

    kinds = frozenset(Kind)
    prior_strength = 4.0

    def __init__(self, key_dim: int = 16, value_dim: int = 12, scale: float = 100.0) -> None:
        super().__init__()
        self.key_dim, self.value_dim, self.scale = key_dim, value_dim, scale

    @property
    def fingerprint(self) -> str:
        return f"{type(self).__name__}-{self.key_dim}-{self.value_dim}-{self.scale}"

    def prepare(self, raw: Any) -> Any:
        return str(raw)

    def collate(self, prepared: Sequence[Any]) -> Any:
        return list(prepared)

    def encode(self, batch: Any) -> Features:
        return Features(
            keys=torch.stack([_embed(f"key {text}", self.key_dim) for text in batch]),
            prior=torch.stack([_embed(f"prior {text}", self.value_dim) for text in batch]),
        )

    def class_embeddings(self, names: Sequence[str], prompts: Sequence[str]) -> Tensor:
        return torch.stack([_embed(prompts[0].format(label=name), self.value_dim) for name in names])

    def class_logits(self, answer: Tensor, classes: Classes) -> Tensor:
        return self.scale * normalize(answer, dim=-1) @ classes.class_embeddings.mT


class FakeLanguageModel(CosineBackbone, LanguageBackbone):
    """One token for each character, scores from a checksum of the text.

    It has no network: memories inside a model and perplexity are tested on the models of tiny_models.

    Attributes:
        contexts: Contexts of all calls of ``loglikelihood``.
    """

    blocks: Any = None
    final_norm: Any = None
    width: Any = None
    causal_lm: Any = None
    embed: Any = None
    tokens: Any = None
    loglikelihood_rolling: Any = None

    def __init__(self, context_length: int = 10_000) -> None:
        super().__init__()
        self._max_positions = context_length
        self.contexts: list[str] = []

    @property
    def max_positions(self) -> int:
        return self._max_positions

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    def generate(
        self, prompts: Sequence[str], max_new_tokens: int, stop: Sequence[str] = ("\n",), beams: int = 5
    ) -> list[str]:
        return [f"{zlib.crc32(prompt.encode()):x}"[:max_new_tokens] for prompt in prompts]

    def loglikelihood(self, context: str, prompts: Sequence[str], answers: Sequence[str]) -> Tensor:
        self.contexts.append(context)
        longest = max(map(len, prompts)) + max(map(len, answers))
        if self.count_tokens([context])[0] + longest > self.context_length:
            raise DataError(f"the model reads {self.context_length} tokens, got more")
        checksums = [[zlib.crc32((context + prompt + answer).encode()) for answer in answers] for prompt in prompts]
        return -torch.tensor(checksums, dtype=torch.float64).div(2**32).float()


class NetworkBackbone(CosineBackbone):
    """A small frozen network with the keys as input and the priors as output; adapters can be attached to it."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(self.key_dim, 20), nn.Tanh(), nn.Linear(20, self.value_dim))
        self.requires_grad_(False)

    def encode(self, batch: Any) -> Features:
        keys = super().encode(batch).keys.to(next(self.net.parameters()))
        return Features(keys, normalize(self.net(keys), dim=-1))


class _Tower(nn.Module):
    """Attention over an input and its reverse, and a projection of their mean."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.projection = nn.Linear(width, dim)

    def mixed(self, inputs: Tensor) -> Tensor:
        """What the projection is applied to."""
        tokens = torch.stack([inputs, inputs.flip(-1)], dim=1)
        mixed: Tensor = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return mixed.mean(dim=1)

    def forward(self, inputs: Tensor) -> Tensor:
        projected: Tensor = self.projection(self.mixed(inputs))
        return projected


class TwoTowers(CosineBackbone, TwoTowerBackbone):
    """Small frozen towers for keys and for class prompts, with attention and one space; adapters can be attached."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.visual, text = (_Tower(self.key_dim, self.value_dim) for _ in range(2))
        object.__setattr__(self, "_text", text.requires_grad_(False))
        self.requires_grad_(False)

    _text: nn.Module

    def encode(self, batch: Any) -> Features:
        keys = super().encode(batch).keys.to(next(self.visual.parameters()))
        return Features(keys, normalize(self.visual(keys), dim=-1))

    @property
    def text_tower(self) -> nn.Module:
        return self._text

    def text_features(self, tower: nn.Module, texts: Sequence[str]) -> Tensor:
        embedded = torch.stack([_embed(text, self.key_dim) for text in texts])
        found: Tensor = tower(embedded.to(next(tower.parameters())))
        return found

    def unprojected(self, batch: Any) -> Tensor:
        keys = super().encode(batch).keys.to(next(self.visual.parameters()))
        return self.visual.mixed(keys)

    def projection(self) -> tuple[Tensor, Tensor | None]:
        layer = self.visual.projection
        return layer.weight.detach().mT, layer.bias.detach()

    @torch.no_grad()
    def class_embeddings(self, names: Sequence[str], prompts: Sequence[str]) -> Tensor:
        return normalize(self.text_features(self._text, [prompts[0].format(label=name) for name in names]), dim=-1)


def backbone_for(method: type[Method]) -> Backbone:
    """A stand-in that serves the method, or a small decoder for methods inside a language model.

    Args:
        method: Class of the method.

    Returns:
        A frozen backbone.
    """
    if method.reads is InputMode.FEATURES:
        return CosineBackbone()
    if method.needs_text_tower:
        return TwoTowers()
    if Kind.IMAGE_CLASSIFICATION in method.kinds:
        return NetworkBackbone()
    runs_network = method.needs_network or Kind.LANGUAGE_MODELLING in method.kinds
    return tiny_language_model() if runs_network else FakeLanguageModel()


@cache
def tiny_language_model() -> Backbone:
    """A decoder with random weights that reads 256 tokens."""
    with TemporaryDirectory() as folder:
        return registry.make_backbone(f"hf:{save_model(Path(folder), 'gpt2', context=256)}")
