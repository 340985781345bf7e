"""Time and peak memory of each method against the size of its support set, on any device.

``python -m tests.perf.scale FILE [--accelerator cuda] [--sizes 10000,100000] [--methods faast,knn]`` measures and adds
a line of JSON per row to FILE. Features are made by a seeded generator: clusters of unit keys, 1,024 numbers each, and
priors that are the keys, as a CLIP has them.
"""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torch.nn.functional import normalize

from bench.contracts import Classes, Features, Pool, TaskData
from bench.data.batches import EpisodeGroup, EpisodeSource
from bench.data.episodes import Episodes
from bench.data.features import FeatureTable
from bench.engine.adapt import AdaptOptions, adapt_and_answer
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.spec.resolve import resolve
from bench.spec.suite import RunSpec
from tests.perf.cases import _Cosine

DIM, QUERIES = 1024, 1000
METHODS = (
    "zero_shot", "faast", "ridge", "nearest_mean", "gda", "knn", "softmax_memory", "tip_adapter", "linear_probe",
)  # fmt: skip
SIZES = {10_000: 10, 50_000: 10, 100_000: 100, 1_281_167: 1_000}
"""Numbers of support items with their numbers of classes; the last is ImageNet's."""
STEPS = 100
"""Optimizer steps of the linear probe."""


class _Clip(_Cosine):
    """A backbone that compares answers with class embeddings as CLIP does."""

    def class_logits(self, answer: Tensor, classes: Classes) -> Tensor:
        return 100 * normalize(answer, dim=-1) @ normalize(classes.class_embeddings, dim=-1).mT


def synthetic(n_items: int, ways: int) -> tuple[EpisodeSource, Episodes]:
    """Encoded pools and one episode of all their items.

    Args:
        n_items: Items of the support set.
        ways: Classes.

    Returns:
        The source and the episode, with QUERIES queries.
    """
    generator = torch.Generator().manual_seed(0)
    centres = normalize(torch.randn(ways, DIM, generator=generator), dim=-1)
    tables, labels = {}, {}
    for split, size in (("support", n_items), ("query", QUERIES)):
        labels[split] = torch.randint(ways, (size,), generator=generator)
        keys = torch.empty(size, DIM)
        for start in range(0, size, 65_536):
            part = slice(start, start + 65_536)
            noise = torch.randn(len(labels[split][part]), DIM, generator=generator)
            keys[part] = normalize(centres[labels[split][part]] + noise / DIM**0.5 * 3, dim=-1)
        tables[split] = FeatureTable(split, np.full(size, -1, dtype=np.int64))
        tables[split].add(np.arange(size), Features(keys, keys))
    pools = {
        split: Pool(Dataset.from_dict({"input": np.zeros(len(found), np.int8)}), found.numpy())
        for split, found in labels.items()
    }
    data = TaskData(pools["support"], pools["query"], tuple(map(str, range(ways))), "synthetic")
    episode = Episodes(
        np.arange(ways)[None], np.arange(n_items)[None], labels["support"].numpy()[None],
        np.arange(QUERIES)[None], labels["query"].numpy()[None],
    )  # fmt: skip
    return EpisodeSource(data, _Clip(), centres, tables["support"], tables["query"]), episode


def product(source: EpisodeSource, device: torch.device) -> float:
    """Seconds of one float64 ``K^T K`` over the support keys, streamed: the least that a closed form does."""

    def once() -> float:
        total = torch.zeros(DIM, DIM, dtype=torch.float64, device=device)
        began = time.perf_counter()
        for start in range(0, len(source.support), 4096):
            rows = np.arange(start, min(start + 4096, len(source.support)))
            part = source.support.gather(rows)[0].to(device).double()
            total += part.mT @ part
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    once()
    return min(once(), once())


def measured(method: str, source: EpisodeSource, episode: Episodes, devices: DeviceOptions) -> dict[str, Any]:
    """Costs of a method on one episode, the second of two passes.

    Args:
        method: Its name.
        source: The encoded pools.
        episode: The episode.
        devices: The device.

    Returns:
        Seconds, peak MB and accuracy; the error of a method that fails.
    """
    config = {"steps": STEPS} if method == "linear_probe" else {}
    spec = RunSpec(
        task="cifar10", backbone="open_clip:RN50/none", method=method, config=config, shots="full", seed=0, episodes=1,
        queries=None, ways=None,
    )  # fmt: skip
    group = EpisodeGroup(source, resolve(spec), episode)
    try:
        adapt_and_answer(group, devices, AdaptOptions(2))
        result = adapt_and_answer(group, devices)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    right = result.scores[0].argmax(-1).cpu().numpy() == episode.query_labels[0]
    return {
        "adapt_seconds": result.adapt.seconds, "adapt_mb": result.adapt.peak_memory_mb,
        "query_ms": 1e3 * result.query.seconds / QUERIES, "query_mb": result.query.peak_memory_mb,
        "accuracy": 100 * float(right.mean()), "steps": result.steps,
    }  # fmt: skip


def rows(accelerator: str, sizes: list[int], methods: list[str]) -> Iterator[dict[str, Any]]:
    """Measure all methods at all sizes.

    Args:
        accelerator: Lightning's name of the accelerator.
        sizes: Numbers of support items.
        methods: Names of methods.

    Yields:
        One row for each.
    """
    quiet_lightning()
    devices = DeviceOptions(accelerator=accelerator)
    device = devices.root_device()
    for size in sizes:
        source, episode = synthetic(size, SIZES.get(size, 10))
        gram = product(source, device)
        shared = {"device": devices.device_name(), "items": size, "classes": episode.classes.size, "gram": gram}
        for method in methods:
            yield shared | {"method": method} | measured(method, source, episode, devices)
            with suppress(AttributeError):
                torch.cuda.empty_cache()


def main() -> None:
    """Measure what the command line says."""
    parser = ArgumentParser(prog="python -m tests.perf.scale", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--methods", default=",".join(METHODS))
    options = parser.parse_args()
    with options.file.open("a", encoding="utf-8") as file:
        for row in rows(options.accelerator, list(map(int, options.sizes.split(","))), options.methods.split(",")):
            print(json.dumps(row), file=file, flush=True)
            print(row, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
