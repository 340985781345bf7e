"""Stand-ins and builders for tests: small problems, backbones without a model, a driver without Lightning."""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from bench import registry
from bench.contracts import (
    AnyMethod,
    Backbone,
    Classes,
    DataError,
    Features,
    ForwardMethod,
    GradientMethod,
    InputMode,
    Inputs,
    Items,
    Kind,
    LanguageBackbone,
    Method,
    ProblemShape,
    Query,
    Support,
)
from bench.testing.tiny_models import save_model

SomeItems = TypeVar("SomeItems", bound=Items)
SomeMethod = TypeVar("SomeMethod", bound=ForwardMethod | GradientMethod)


def _embed(text: str, dim: int) -> Tensor:
    """A unit vector named by a text."""
    generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
    return normalize(torch.randn(dim, generator=generator), dim=0)


class CosineBackbone(Backbone):
    """InputMode out ``scale * normalize(answer) @ values^T`` as CLIP does; embeds whatever it is shown by its text."""

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
    """Counts a character as a token and scores by a checksum of all that it reads; remembers what it was asked.

    It has no network: memories inside a model and perplexity are tested on the models of tiny_models.
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

    def generate(self, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
        return [f"{zlib.crc32(prompt.encode()):x}"[:max_new_tokens] for prompt in prompts]

    def loglikelihood(self, context: str, prompts: Sequence[str], answers: Sequence[str]) -> Tensor:
        self.contexts.append(context)
        longest = max(map(len, prompts)) + max(map(len, answers))
        if self.count_tokens([context])[0] + longest > self.context_length:
            raise DataError(f"the model reads {self.context_length} tokens, got more")
        checksums = [[zlib.crc32((context + prompt + answer).encode()) for answer in answers] for prompt in prompts]
        return -torch.tensor(checksums, dtype=torch.float64).div(2**32).float()


class NetworkBackbone(CosineBackbone):
    """Makes its priors of its keys by a small frozen network, which an adapter can stand in."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(self.key_dim, 20), nn.Tanh(), nn.Linear(20, self.value_dim))
        self.requires_grad_(False)

    def encode(self, batch: Any) -> Features:
        keys = super().encode(batch).keys
        return Features(keys, normalize(self.net(keys), dim=-1))


@dataclass(frozen=True)
class Problem:
    """What a method is to adapt to and to answer."""

    support: Support
    query: Query
    shape: ProblemShape


def problem(
    *,
    n_episodes: int = 3,
    n_way: int = 4,
    n_shot: int = 3,
    n_query: int = 5,
    key_dim: int = 16,
    value_dim: int = 12,
    sizes: Sequence[int] | None = None,
    prior_strength: float = 4.0,
    seed: int = 0,
) -> Problem:
    """Clustered keys with noisy priors, support items in no order; inputs are prompts that differ.

    sizes: support items of each episode, the rest being padding; all of them by default.
    """
    rng = torch.Generator().manual_seed(seed)

    def noisy(centres: Tensor, noise: float) -> Tensor:
        return normalize(centres + noise * torch.randn(centres.shape, generator=rng), dim=-1)

    centres = noisy(torch.zeros(n_episodes, n_way, key_dim), 1.0)
    values = noisy(torch.zeros(n_episodes, n_way, value_dim), 1.0)
    names = tuple(tuple(f" label{label}" for label in range(n_way)) for _ in range(n_episodes))
    classes = Classes(class_embeddings=values, names=names)

    def items(per_class: int, first: int) -> tuple[dict[str, Any], Tensor]:
        count = n_way * per_class
        labels = torch.stack([torch.randperm(count, generator=rng) % n_way for _ in range(n_episodes)])
        fields = {
            "keys": noisy(gather(centres, labels), 0.2),
            "prior": noisy(gather(values, labels), 0.3),
            "mask": torch.ones(n_episodes, count, dtype=torch.bool),
            "classes": classes,
            "inputs": Inputs(first + np.arange(n_episodes * count).reshape(n_episodes, count), prompts),
        }
        return fields, labels

    fields, labels = items(n_shot, 0)
    support = Support(labels=labels, **fields)
    if sizes is not None:
        support = masked(support, torch.arange(labels.shape[1]) < torch.tensor(sizes)[:, None])
    query = Query(**items(n_query, 1_000_000)[0])
    shape = ProblemShape(
        n_episodes=n_episodes,
        n_way=n_way,
        n_support=n_way * n_shot,
        key_dim=key_dim,
        value_dim=value_dim,
        prior_strength=prior_strength,
        separator="\n\n",
        seed=seed,
    )
    return Problem(support, query, shape)


def prompts(positions: Sequence[int]) -> list[str]:
    """The raw inputs at ``positions``: prompts that differ."""
    return [f"Word: w{position}\nLabel:" for position in positions]


def gather(values: Tensor, labels: Tensor) -> Tensor:
    """``values [episode, way, dim]`` at ``labels [episode, item]``."""
    return values.gather(1, labels.unsqueeze(-1).expand(-1, -1, values.shape[-1]))


def masked(support: Support, mask: Tensor) -> Support:
    """The support with items turned into padding where ``mask`` is False: garbage, label 0, position -1."""
    garbage = torch.Generator().manual_seed(99)

    def spoil(tensor: Tensor) -> Tensor:
        return torch.where(mask.unsqueeze(-1), tensor, 5 * torch.randn(tensor.shape, generator=garbage))

    return replace(
        support,
        keys=spoil(support.keys),
        prior=spoil(support.prior),
        mask=mask,
        labels=support.labels.where(mask, 0),
        inputs=replace(support.inputs, positions=np.where(mask.numpy(), support.inputs.positions, -1)),
    )


def padded(support: Support, count: int) -> Support:
    """The support with ``count`` padding items at the end."""
    wider = columns(support, torch.arange(support.mask.shape[1] + count).clamp(max=support.mask.shape[1] - 1))
    mask = torch.cat([support.mask, torch.zeros(len(support.mask), count, dtype=torch.bool)], dim=1)
    return masked(wider, mask)


def columns(items: SomeItems, index: "Tensor | slice") -> SomeItems:
    """The items at ``index`` of every episode."""
    tensors: dict[str, Any] = {
        name: value[:, index] for name, value in vars(items).items() if isinstance(value, Tensor)
    }
    positions = items.inputs.positions[:, index if isinstance(index, slice) else index.numpy()]
    return replace(items, inputs=replace(items.inputs, positions=positions), **tensors)


def episodes(items: SomeItems, part: slice) -> SomeItems:
    """Some of the episodes."""
    tensors: dict[str, Any] = {name: value[part] for name, value in vars(items).items() if isinstance(value, Tensor)}
    classes = Classes(items.classes.class_embeddings[part], items.classes.names[part])
    return replace(
        items, classes=classes, inputs=replace(items.inputs, positions=items.inputs.positions[part]), **tensors
    )


def backbone_for(method: type[Method]) -> Backbone:
    """A double that the method can use, or a real decoder where it works inside one."""
    if method.reads is InputMode.FEATURES:
        return CosineBackbone()
    if Kind.IMAGE_CLASSIFICATION in method.kinds:
        return NetworkBackbone()
    return tiny_language_model() if Kind.LANGUAGE_MODELLING in method.kinds else FakeLanguageModel()


@cache
def tiny_language_model() -> Backbone:
    """A decoder with random weights that reads 256 tokens."""
    with TemporaryDirectory() as folder:
        return registry.make_backbone(f"hf:{save_model(Path(folder), 'gpt2', context=256)}")


def adapt(method: AnyMethod, support: Support, items_at_once: int | None = None) -> None:
    """Do what ``Trainer.fit`` does: stream the support once and solve, or take the optimizer's steps."""
    if isinstance(method, ForwardMethod):
        if not method.uses_support:
            return
        step = items_at_once or support.mask.shape[1]
        with torch.no_grad():
            for start in range(0, support.mask.shape[1], step):
                method.observe(columns(support, slice(start, start + step)))
            method.solve()
        return
    optimizer, schedule = method.optimizer()
    with one_thread():
        for step in range(1, method.steps + 1):
            optimizer.zero_grad()
            method.loss(support).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if schedule is not None:
                schedule.step()
            if method.validate_every and (step % method.validate_every == 0 or step == method.steps):
                with torch.no_grad():
                    method.validate()
        with torch.no_grad():
            method.finish()


@contextmanager
def one_thread() -> Iterator[None]:
    """Many steps on small tensors: threads that wait for each other on a busy machine took five times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def adapted(
    cls: type[SomeMethod],
    given: Problem,
    backbone: Backbone | None = None,
    items_at_once: int | None = None,
    **config: Any,
) -> SomeMethod:
    """A method adapted to the problem's support, all episodes in one instance."""
    method = cls(cls.Config(**config), backbone or backbone_for(cls), given.shape)
    adapt(method, given.support, items_at_once)
    return method


def scores(
    cls: type[AnyMethod],
    given: Problem,
    items_at_once: int | None = None,
    backbone: Backbone | None = None,
    **config: Any,
) -> Tensor:
    """``[episode, item, way]``, with as many episodes in an instance as the method takes."""
    answers = []
    for start in range(0, given.shape.n_episodes, cls.episodes_at_once):
        group = episodes_of(given, slice(start, start + cls.episodes_at_once))
        method = adapted(cls, group, backbone, items_at_once, **config)
        with torch.no_grad():
            answers.append(method.predict(group.query))
    return torch.cat(cast(list[Tensor], answers))


def episodes_of(given: Problem, part: slice) -> Problem:
    """The problem cut down to some of its episodes."""
    query = episodes(given.query, part)
    shape = replace(given.shape, n_episodes=query.n_episodes)
    return Problem(episodes(given.support, part), query, shape)
