"""What is timed against what. A case makes its inputs and returns the two ways of doing the same thing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import timm
import torch
from datasets import Dataset
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize, one_hot
from torch.utils.data import DataLoader

from bench.backbones.efficientnet_lite0 import EfficientNetLite0, timm_state
from bench.contracts import Backbone, Classes, Features, Inputs, Kind, Pool, ProblemShape, Support, TaskData
from bench.data.episodes import EpisodeSpec, draw_episodes
from bench.data.feature_cache import FeatureCache
from bench.engine.encoding import encode_missing
from bench.engine.trainer import DeviceOptions
from bench.toolkit.least_squares import KeySums, Spectrum
from methods._fast_weights import FastWeights
from methods.linear_probe import LinearProbe, LinearProbeConfig
from tasks.digits import Digits

DIM = 1024
WAY = 10
ALPHA = 0.8


@dataclass(frozen=True)
class Case:
    """One row of the table.

    ours, other: called with nothing; ``other_share`` is the part of the whole that ``other`` does, its time is
    divided by it. counted: what both return is a number to compare, and their time is not. error: relative error
    of ``ours``, computed once, untimed. promise: the least ratio.
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
    counted: str = ""


class _Cosine(Backbone):
    """Only what a probe needs of a backbone: nothing."""

    kinds = frozenset(Kind)
    prior_strength = 0.0
    fingerprint = "none"

    def prepare(self, raw: Any) -> Any:
        return raw

    def collate(self, prepared: Any) -> Any:
        return prepared

    def encode(self, batch: Any) -> Features:
        raise NotImplementedError

    def class_embeddings(self, names: Any, prompts: Any) -> Tensor:
        raise NotImplementedError

    def class_logits(self, answer: Tensor, classes: Classes) -> Tensor:
        return answer


def few_shot_solves(episodes: int = 600, shots: int = 5, queries: int = 50) -> Case:
    """600 closed-form episodes, 10-way 5-shot, solve and read."""
    generator = torch.Generator().manual_seed(0)
    n_items = WAY * shots
    keys = normalize(torch.randn(episodes, n_items, DIM, generator=generator), dim=-1)
    queries = normalize(torch.randn(episodes, queries, DIM, generator=generator), dim=-1)
    classes = normalize(torch.randn(WAY, DIM, generator=generator), dim=-1)
    # How alike classes are: it turns an answer in labels into scores, for both ways in one small product.
    alike = classes @ classes.mT
    labels = torch.arange(WAY).repeat_interleave(shots)
    mask = torch.ones(episodes, n_items, dtype=torch.bool)

    def ours() -> list[Tensor]:
        answers = []
        for start in range(0, episodes, 64):
            part = slice(start, start + 64)
            size = len(keys[part])
            memory = FastWeights(size, DIM, WAY, n_items=n_items, alpha=ALPHA)
            memory.observe(keys[part], one_hot(labels, WAY).float().expand(size, -1, -1), mask[part])
            memory.solve()
            answers.append(memory.read(queries[part]) @ alike)
        return answers

    def other() -> list[Tensor]:
        answers = []
        for episode in range(episodes):
            inverse = torch.linalg.pinv(keys[episode], atol=0.0, rtol=n_items**-ALPHA)
            answers.append(queries[episode] @ inverse @ alike[labels])
        return answers

    def error() -> float:
        exact = torch.stack(other())
        return float((torch.cat(ours()) - exact).norm() / exact.norm())

    return Case(
        what="600 closed-form episodes, 10-way 5-shot, d = 1,024, solve and read",
        against="a loop of `torch.linalg.pinv`",
        promise=10,
        ours=ours,
        other=other,
        error=error,
        error_of="the loop's answers",
    )


def streamed_fast_weights(n_items: int = 50_000, ways: int = 100) -> Case:
    """FAAST on 50,000 x 1,024 keys, streamed."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.logspace(0, -2, DIM)
    keys = normalize(torch.randn(1, n_items, DIM, generator=generator) * scale, dim=-1)
    labels = torch.randint(ways, (1, n_items), generator=generator)
    rtol = n_items**-ALPHA

    def ours() -> Tensor:
        memory = FastWeights(1, DIM, ways, n_items=n_items, alpha=ALPHA)
        for start in range(0, n_items, 4096):
            part = keys[:, start : start + 4096]
            values = one_hot(labels[:, start : start + 4096], ways).float()
            memory.observe(part, values, torch.ones(part.shape[:2], dtype=torch.bool))
        memory.solve()
        return memory.weights[0]

    def other() -> Tensor:
        return (torch.linalg.pinv(keys[0], atol=0.0, rtol=rtol) @ one_hot(labels[0], ways).float()).T

    def error() -> float:
        exact = (torch.linalg.pinv(keys[0].double(), atol=0.0, rtol=rtol) @ one_hot(labels[0], ways).double()).T
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


def probe_episodes(episodes: int = 600, alone: int = 12, shots: int = 5) -> Case:
    """600 linear probes of 100 steps, batched; the other way is timed on some of them."""
    generator = torch.Generator().manual_seed(0)
    n_items = WAY * shots
    keys = normalize(torch.randn(episodes, n_items, DIM, generator=generator), dim=-1)
    labels = torch.arange(WAY).repeat_interleave(shots).expand(episodes, -1)

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
        from bench.engine.lightning_module import GradientAdaptation

        batch = support(part)
        shape = ProblemShape(len(batch.keys), WAY, n_items, DIM, 1, 0.0, "\n", 0)
        method = LinearProbe(LinearProbeConfig(steps=100), _Cosine(), shape)
        trainer = DeviceOptions(accelerator="cpu").trainer(max_steps=method.steps, max_epochs=-1)
        trainer.fit(GradientAdaptation(method), DataLoader([batch] * method.steps, batch_size=None))
        return method.weight.detach()

    size = LinearProbe.episodes_at_once
    return Case(
        what="600 linear-probe episodes of 100 steps",
        against=f"one Trainer fit per episode ({alone} of them timed)",
        promise=50,
        ours=lambda: torch.cat([fit(slice(start, start + size)) for start in range(0, episodes, size)]),
        other=lambda: torch.cat([fit(slice(episode, episode + 1)) for episode in range(alone)]),
        other_share=alone / episodes,
        error=lambda: float((fit(slice(0, size))[:1] - fit(slice(0, 1))).norm() / fit(slice(0, 1)).norm()),
        error_of="the weights of an episode alone",
    )


def image_encoding(n_images: int = 2000, alone: int = 400) -> Case:
    """EfficientNet-Lite0 as the backbone runs it, against the plain network, on images of CIFAR-10's size."""
    backbone = EfficientNetLite0().eval()
    plain: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    names = [f"blocks.{stage}.{block}" for stage, row in enumerate(plain.blocks) for block in range(len(row))]
    weights = torch.load(backbone._weights, map_location="cpu", weights_only=True)
    plain.load_state_dict(timm_state(weights, names))
    plain.eval()
    pixels = np.random.default_rng(0).integers(0, 256, (n_images, 4, 4, 3), dtype=np.uint8)
    images = [Image.fromarray(each).resize((32, 32), Image.Resampling.BICUBIC) for each in pixels]

    def batches(count: int) -> Iterator[Tensor]:
        for start in range(0, count, 32):
            yield backbone.collate([backbone.prepare(image) for image in images[start : min(start + 32, count)]])

    @torch.inference_mode()
    def ours(count: int = n_images) -> Tensor:
        return torch.cat([backbone.encode(batch).keys for batch in batches(count)])

    @torch.inference_mode()
    def other() -> Tensor:
        found = [plain.forward_head(plain.forward_features(batch), pre_logits=True) for batch in batches(alone)]
        return normalize(torch.cat(found), dim=-1)

    return Case(
        what=f"encoding {n_images:,} images of 32 x 32 pixels with EfficientNet-Lite0, decoding and priors included",
        against=f"plain eager float32 at 224 pixels, keys only ({alone} of them timed)",
        promise=2.5,
        ours=ours,
        other=other,
        other_share=alone / n_images,
        error=lambda: float(1 - (ours(alone) * other()).sum(-1).min()),
        error_of="1 - the least cosine with the plain network's features",
    )


def settings_of_one_support(n_items: int = 5000, n_queries: int = 200) -> Case:
    """100 settings of (prior_strength, alpha) on one support set against one solve of it."""
    generator = torch.Generator().manual_seed(0)
    # Directions fall off steeply, as those of real features do, so that every cut-off drops some.
    scale = torch.logspace(0, -4, DIM)
    keys = normalize(torch.randn(1, n_items, DIM, generator=generator) * scale, dim=-1)
    queries = normalize(torch.randn(n_queries, DIM, generator=generator) * scale, dim=-1)
    prior = torch.randn(n_queries, WAY, generator=generator)
    values = one_hot(torch.randint(WAY, (1, n_items), generator=generator), WAY).float()
    mask = torch.ones(1, n_items, dtype=torch.bool)
    alphas = [0.2 * step for step in range(1, 11)]
    prior_strengths = [100.0 * step for step in range(10)]

    def mixed(weights: Tensor, prior_strength: float) -> Tensor:
        share = n_items / (prior_strength + n_items)
        return (1 - share) * prior + share * (queries @ weights.mT)

    def every_setting() -> Tensor:
        sums = KeySums()
        sums.add(keys, values)
        rtol = torch.tensor([[n_items**-alpha] for alpha in alphas], dtype=torch.float64)
        weights = Spectrum.of_gram(sums.gram).weights(sums.cross, rtol)[:, 0].float()
        return torch.stack([mixed(each, prior_strength) for each in weights for prior_strength in prior_strengths])

    def one_solve(alpha: float = ALPHA, prior_strength: float = 0.0) -> Tensor:
        memory = FastWeights(1, DIM, WAY, n_items=n_items, alpha=alpha)
        memory.observe(keys, values, mask)
        memory.solve()
        return mixed(memory.weights[0], prior_strength)

    def error() -> float:
        alone = torch.stack(
            [one_solve(alpha, prior_strength) for alpha in alphas for prior_strength in prior_strengths]
        )
        return float((every_setting() - alone).norm() / alone.norm())

    return Case(
        what=f"100 settings of (prior_strength, alpha) on one support set of {n_items:,} x {DIM:,}",
        against="one solve and read",
        promise=0.5,
        ours=every_setting,
        other=one_solve,
        error=error,
        error_of="100 solves",
    )


def encodes_of_the_protocol() -> Case:
    """How many images the few-shot protocol encodes, on pools of CIFAR-10's size."""
    pools = [Pool(Dataset.from_dict({"input": range(WAY * n)}), np.repeat(np.arange(WAY), n)) for n in (5000, 1000)]
    data = TaskData(*pools, tuple(map(str, range(WAY))), "none")
    draw = EpisodeSpec(task="cifar10", seed=0, episodes=600, shots=5, queries=20, ways=None)

    def ours() -> int:
        episodes = draw_episodes(data, draw)
        return len(np.unique(episodes.support)) + len(np.unique(episodes.query))

    def other() -> int:
        episodes = draw_episodes(data, draw)
        return episodes.support.size + episodes.query.size

    return Case(
        what="the whole few-shot protocol: 600 episodes of 10 ways, 5 shots and 20 queries a class",
        against="encoding each episode's images again",
        promise=2.5,
        ours=ours,
        other=other,
        counted="encodes",
    )


def cached_features(n_images: int = 400) -> Case:
    """The encode stage of a run whose features are cached, against that of the first run."""
    digits = Digits().load(None)
    backbone = EfficientNetLite0().eval()
    wanted = np.arange(n_images)

    def encode(root: Path) -> Tensor:
        cache = FeatureCache(root, {"weights": backbone.fingerprint, "data": digits.revision})
        table = cache.load("support", len(digits.support.labels), print)
        devices = DeviceOptions(accelerator="cpu")
        encode_missing(backbone, digits.support, table, wanted, cache, devices, lambda done: None, print)
        return table.gather(wanted[None])[0]

    def anew() -> Tensor:
        with TemporaryDirectory() as folder:
            return encode(Path(folder))

    kept = TemporaryDirectory()
    encode(Path(kept.name))
    return Case(
        what=f"a second run on cached features: the encode stage of {n_images} digits",
        against="the first run's",
        promise=100,
        # The folder lives as long as the case.
        ours=lambda: encode(Path(kept.name)),
        other=anew,
        error=lambda: float((encode(Path(kept.name)) - anew()).abs().max()),
        error_of="the features of the first run",
    )


# Encoding comes before large solves: what they leave in the allocator makes the plain network, whose activations are
# larger than the allocator's own pages, a third faster than it is in a process that only encodes.
CASES = (
    few_shot_solves,
    image_encoding,
    probe_episodes,
    streamed_fast_weights,
    settings_of_one_support,
    encodes_of_the_protocol,
    cached_features,
)
