"""What is timed against what. A case makes its inputs and returns the two ways of doing the same thing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot
from torch.utils.data import DataLoader

from bench.backbones.efficientnet_lite0 import EfficientNetLite0, timm_state
from bench.contracts import Backbone, Classes, Features, Inputs, Kind, Setting, Support
from bench.devices import DeviceOptions
from methods.faast import FastWeights
from methods.linear_probe import LinearProbe, LinearProbeConfig

DIM = 1024
WAY = 10
ALPHA = 0.8


@dataclass(frozen=True)
class Case:
    """One row of the table.

    ours, other: called with nothing; ``other_share`` is the part of the whole that ``other`` does, its time is
    divided by it. error: relative error of ``ours``, computed once, untimed. promise: the least ratio.
    """

    what: str
    against: str
    promise: float
    ours: Callable[[], Any]
    other: Callable[[], Any]
    other_share: float = 1.0
    error: Callable[[], float] | None = None
    error_of: str = ""
    memory: bool = False


class _Cosine(Backbone):
    """Only what a probe needs of a backbone: nothing."""

    kinds = frozenset(Kind)
    prior_count = 0.0
    fingerprint = "none"

    def prepare(self, raw: Any) -> Any:
        return raw

    def collate(self, prepared: Any) -> Any:
        return prepared

    def encode(self, batch: Any) -> Features:
        raise NotImplementedError

    def class_values(self, names: Any, prompts: Any) -> Tensor:
        raise NotImplementedError

    def readout(self, answer: Tensor, classes: Classes) -> Tensor:
        return answer


def few_shot_solves(n_episodes: int = 600, n_shot: int = 5, n_query: int = 50) -> Case:
    """600 closed-form episodes, 10-way 5-shot, solve and read."""
    generator = torch.Generator().manual_seed(0)
    n_items = WAY * n_shot
    keys = normalize(torch.randn(n_episodes, n_items, DIM, generator=generator), dim=-1)
    queries = normalize(torch.randn(n_episodes, n_query, DIM, generator=generator), dim=-1)
    classes = normalize(torch.randn(WAY, DIM, generator=generator), dim=-1)
    labels = torch.arange(WAY).repeat_interleave(n_shot)
    mask = torch.ones(n_episodes, n_items, dtype=torch.bool)

    def ours() -> Tensor:
        answers = []
        for start in range(0, n_episodes, 64):
            part = slice(start, start + 64)
            size = len(keys[part])
            memory = FastWeights(size, DIM, WAY, n_items=n_items, alpha=ALPHA)
            memory.observe(keys[part], one_hot(labels, WAY).float().expand(size, -1, -1), mask[part])
            memory.solve()
            answers.append(memory.read(queries[part]) @ classes)
        return torch.cat(answers)

    def other() -> Tensor:
        answers = []
        for episode in range(n_episodes):
            inverse = torch.linalg.pinv(keys[episode], atol=0.0, rtol=n_items**-ALPHA)
            answers.append(queries[episode] @ inverse @ classes[labels])
        return torch.stack(answers)

    return Case(
        what="600 closed-form episodes, 10-way 5-shot, d = 1,024, solve and read",
        against="a loop of `torch.linalg.pinv`",
        promise=10,
        ours=ours,
        other=other,
        error=lambda: float((ours() - other()).norm() / other().norm()),
        error_of="the loop's answers",
    )


def streamed_fast_weights(n_items: int = 50_000, n_way: int = 100) -> Case:
    """FAAST on 50,000 x 1,024 keys, streamed."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.logspace(0, -2, DIM)
    keys = normalize(torch.randn(1, n_items, DIM, generator=generator) * scale, dim=-1)
    labels = torch.randint(n_way, (1, n_items), generator=generator)
    rtol = n_items**-ALPHA

    def ours() -> Tensor:
        memory = FastWeights(1, DIM, n_way, n_items=n_items, alpha=ALPHA)
        for start in range(0, n_items, 4096):
            part = keys[:, start : start + 4096]
            values = one_hot(labels[:, start : start + 4096], n_way).float()
            memory.observe(part, values, torch.ones(part.shape[:2], dtype=torch.bool))
        memory.solve()
        return memory.weights[0]

    def other() -> Tensor:
        return (torch.linalg.pinv(keys[0], atol=0.0, rtol=rtol) @ one_hot(labels[0], n_way).float()).T

    def error() -> float:
        exact = (torch.linalg.pinv(keys[0].double(), atol=0.0, rtol=rtol) @ one_hot(labels[0], n_way).double()).T
        return float((ours() - exact).norm() / exact.norm())

    return Case(
        what="FAAST on 50,000 x 1,024 keys, streamed in batches of 4,096",
        against="one float32 `pinv` on all keys",
        promise=3,
        ours=ours,
        other=other,
        error=error,
        error_of="a float64 `pinv`",
        memory=True,
    )


def probe_episodes(n_episodes: int = 600, alone: int = 12, n_shot: int = 5) -> Case:
    """600 linear probes of 100 steps, batched; the other way is timed on some of them."""
    generator = torch.Generator().manual_seed(0)
    n_items = WAY * n_shot
    keys = normalize(torch.randn(n_episodes, n_items, DIM, generator=generator), dim=-1)
    labels = torch.arange(WAY).repeat_interleave(n_shot).expand(n_episodes, -1)

    def support(part: slice) -> Support:
        size = len(keys[part])
        values = torch.zeros(size, WAY, 1)
        names = tuple(tuple(map(str, range(WAY))) for _ in range(size))
        return Support(
            keys=keys[part],
            prior=torch.zeros(size, n_items, 1),
            mask=torch.ones(size, n_items, dtype=torch.bool),
            classes=Classes(values, names),
            inputs=Inputs(np.zeros((size, n_items), dtype=np.int64), lambda wanted: []),
            labels=labels[part],
        )

    def fit(part: slice) -> Tensor:
        from bench.adaptation import GradientAdaptation

        batch = support(part)
        setting = Setting(len(batch.keys), WAY, n_items, DIM, 1, 0.0, "\n", 0)
        method = LinearProbe(LinearProbeConfig(steps=100), _Cosine(), setting)
        trainer = DeviceOptions(accelerator="cpu").trainer(max_steps=method.steps, max_epochs=-1)
        trainer.fit(GradientAdaptation(method), DataLoader([batch] * method.steps, batch_size=None))
        return method.weight.detach()

    size = LinearProbe.episodes_at_once
    return Case(
        what="600 linear-probe episodes of 100 steps",
        against=f"one Trainer fit per episode ({alone} of them timed)",
        promise=50,
        ours=lambda: torch.cat([fit(slice(start, start + size)) for start in range(0, n_episodes, size)]),
        other=lambda: torch.cat([fit(slice(episode, episode + 1)) for episode in range(alone)]),
        other_share=alone / n_episodes,
        error=lambda: float((fit(slice(0, size))[:1] - fit(slice(0, 1))).norm() / fit(slice(0, 1)).norm()),
        error_of="the weights of an episode alone",
    )


def image_encoding(n_images: int = 128) -> Case:
    """EfficientNet-Lite0 as the backbone runs it, against the plain network."""
    backbone = EfficientNetLite0().eval()
    plain: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    names = [f"blocks.{stage}.{block}" for stage, row in enumerate(plain.blocks) for block in range(len(row))]
    weights = torch.load(backbone._weights, map_location="cpu", weights_only=True)
    plain.load_state_dict(timm_state(weights, names))
    plain.eval()
    images = torch.randn(n_images, 3, 224, 224, generator=torch.Generator().manual_seed(0))

    @torch.inference_mode()
    def ours() -> Tensor:
        return torch.cat([backbone.encode(part).keys for part in images.split(32)])

    @torch.inference_mode()
    def other() -> Tensor:
        found = [plain.forward_head(plain.forward_features(part), pre_logits=True) for part in images.split(32)]
        return normalize(torch.cat(found), dim=-1)

    return Case(
        what=f"encoding {n_images} images with EfficientNet-Lite0, priors included",
        against="plain eager float32 at 224 pixels, keys only",
        promise=2.5,
        ours=ours,
        other=other,
        error=lambda: float(1 - (ours() * other()).sum(-1).min()),
        error_of="1 - the least cosine with the plain network's features",
    )


CASES = (few_shot_solves, streamed_fast_weights, probe_episodes, image_encoding)
