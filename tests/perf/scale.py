"""Time and peak memory of each method against the size of its support set, for docs/performance.md.

``python -m tests.perf.scale JSON [PAGE] [--accelerator cuda] [--sizes 10000,100000] [--methods faast,knn]`` writes rows
to a JSON file and, with a page, its table. ``--steps 20`` ends trainings early, for their memory alone. Features are
made by a seeded generator: clusters of unit keys, 1,024 numbers each, and priors that are the keys, as a CLIP has them.
They are in files of a feature cache in a temporary folder (4 GB for a million), mapped as in a run.
"""

import json
import math
import statistics
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torch.nn.functional import normalize

from bench.contracts import Classes, Features, InputMode, Pool, TaskData
from bench.costs.warm import small
from bench.data.batches import EpisodeGroup, EpisodeSource
from bench.data.episodes import EpisodeSpec, draw_episodes
from bench.data.feature_cache import FeatureCache
from bench.data.features import FeatureTable
from bench.data.payload import EpisodePayload, payload_of
from bench.engine.adapt import AdaptOptions, adapt_and_answer
from bench.engine.encoding import ITEMS_PER_SHARD
from bench.engine.group_result import GroupResult
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.meters.memory import garbage_collection_frozen
from bench.spec.resolve import resolve
from bench.spec.run_spec import RunSpec
from tests.helpers.docs import replace_section
from tests.perf.cases import _Cosine
from tests.perf.report import machine

DIM, WAYS, QUERIES = 1024, 1000, 1000
METHODS = ("faast", "ridge", "nearest_mean", "gda", "knn", "softmax_memory", "tip_adapter", "linear_probe")
SIZES = (10_000, 100_000, 1_000_000)
STEPS = 100
"""Optimizer steps of the linear probe."""
BRIEF = 20_000
"""Support items up to which a method is measured three times; it is measured once on more."""
PRODUCT = "one float64 `K^T K` over the same rows"
SLOWER, HEAVIER = 1.5, 200
"""Goals of FAAST's adapt: at most this many times the seconds of the product, and this many MB."""


class _Clip(_Cosine):
    """A backbone that compares answers with class embeddings as CLIP does."""

    def class_logits(self, answer: Tensor, classes: Classes) -> Tensor:
        return 100 * normalize(answer, dim=-1) @ normalize(classes.class_embeddings, dim=-1).mT


def synthetic(n_items: int, folder: Path) -> EpisodePayload:
    """One episode of all items of a support pool and QUERIES queries, as a measuring process gets it.

    Args:
        n_items: Items of the support set.
        folder: Where the files of the features are written.

    Returns:
        The payload, with query labels.
    """
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    centres = normalize(torch.randn(WAYS, DIM, generator=generator), dim=-1)
    pools, tables = {}, {}
    for split, size in (("support", n_items), ("query", QUERIES)):
        labels = rng.permutation(np.arange(size) % WAYS)
        cache = FeatureCache(folder, {"split": split, "items": size})
        table = tables[split] = FeatureTable(split, np.full(size, -1, dtype=np.int64))
        for start in range(0, size, ITEMS_PER_SHARD):
            part = np.arange(start, min(start + ITEMS_PER_SHARD, size))
            noise = torch.randn(len(part), DIM, generator=generator)
            keys = normalize(centres[labels[part]] + noise / DIM**0.5 * 3, dim=-1)
            table.add(part, Features(keys, keys))
            table.stored(cache.save(part, table.last()))
        pools[split] = Pool(Dataset.from_dict({"input": np.zeros(size, np.int8)}), labels)
    data = TaskData(pools["support"], pools["query"], tuple(map(str, range(WAYS))), "synthetic")
    episodes = draw_episodes(data, EpisodeSpec("cifar10", 0, 1, None, None, None))
    source = EpisodeSource(data, _Clip(), centres, tables["support"], tables["query"])
    payload = payload_of(source, episodes, InputMode.FEATURES)
    payload.episodes.query_labels[:] = episodes.query_labels
    payload.support.touch()
    return payload


def product(payload: EpisodePayload, device: torch.device) -> float:
    """Seconds of one float64 ``K^T K`` over the support keys, streamed: the least that a closed form does."""
    total = torch.zeros(DIM, DIM, dtype=torch.float64, device=device)
    seconds = 0.0
    for start in range(0, len(payload.support), ITEMS_PER_SHARD):
        rows = np.arange(start, min(start + ITEMS_PER_SHARD, len(payload.support)))
        part = payload.support.gather(rows[None])[0][0]
        began = time.perf_counter()
        wide = part.to(device).double()
        total += wide.mT @ wide
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds += time.perf_counter() - began
    return seconds


def measured(method: str, payload: EpisodePayload, devices: DeviceOptions, steps: int | None = None) -> dict[str, Any]:
    """Costs of a method on one episode.

    Args:
        method: Its name.
        payload: The episode.
        devices: The device.
        steps: Steps after which a training ends; None for its own number.

    Returns:
        Seconds, peak MB and accuracy; the error of a method that fails.
    """
    config = {"steps": STEPS} if method == "linear_probe" else {}
    spec = RunSpec(
        task="cifar10", backbone="open_clip:RN50/none", method=method, config=config, shots="full", seed=0, episodes=1,
        queries=None, ways=None,
    )  # fmt: skip
    run, source = resolve(spec), payload.source(_Clip())
    try:
        adapt_and_answer(EpisodeGroup(source, run, small(payload).episodes), devices, AdaptOptions(2))
        rounds = 3 if len(payload.support) <= BRIEF else 1
        group, options = EpisodeGroup(source, run, payload.episodes), AdaptOptions(steps)
        results = [adapt_and_answer(group, devices, options) for _ in range(rounds)]
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    right = results[0].scores[0].argmax(-1).cpu().numpy() == payload.episodes.query_labels[0]
    return _costs(results) | {"accuracy": 100 * float(right.mean()), "steps": results[0].steps}


def _costs(results: Sequence[GroupResult]) -> dict[str, float]:
    return {
        "adapt_seconds": statistics.median(each.adapt.seconds for each in results),
        "adapt_mb": max(each.adapt.peak_memory_mb for each in results),
        "state_mb": results[0].state_bytes / 2**20,
        "query_ms": 1e3 * statistics.median(each.query.seconds for each in results) / QUERIES,
        "query_mb": max(each.query.peak_memory_mb for each in results),
    }


def rows(
    accelerator: str, sizes: Sequence[int], methods: Sequence[str], steps: int | None = None
) -> Iterator[dict[str, Any]]:
    """Measure all methods at all sizes.

    Args:
        accelerator: Lightning's name of the accelerator.
        sizes: Numbers of support items.
        methods: Names of methods.
        steps: Steps after which a training ends; None for its own number.

    Yields:
        One row for each, that of the product first.
    """
    quiet_lightning()
    devices = DeviceOptions(accelerator=accelerator)
    device = devices.root_device()
    for size in sizes:
        with TemporaryDirectory(prefix="bench-scale-") as folder:
            payload = synthetic(size, Path(folder))
            shared = {"device": devices.device_name(), "items": size}
            with garbage_collection_frozen():
                yield shared | {"method": PRODUCT, "adapt_seconds": product(payload, device)}
                for method in methods:
                    yield shared | {"method": method} | measured(method, payload, devices, steps)
                    with suppress(AttributeError):
                        torch.cuda.empty_cache()


def slope(sizes: Sequence[int], values: Sequence[float | None]) -> str:
    """The exponent of growth between the last two sizes: 1 for values in proportion to items, 0 for constant ones."""
    if len(values) < 2 or not values[-1] or not values[-2]:
        return ""
    return f"{math.log(values[-1] / values[-2]) / math.log(sizes[-1] / sizes[-2]):.2f}"


def section(found: Sequence[dict[str, Any]]) -> str:
    """The table of docs/performance.md.

    Args:
        found: The rows.

    Returns:
        Markdown.
    """
    sizes = sorted({row["items"] for row in found})
    by_name = {(row["method"], row["items"]): row for row in found}
    heads = [*(f"s at {size:,}" for size in sizes), "slope", *(f"MB at {size:,}" for size in sizes), "slope"]
    lines = [
        f"Machine: {machine()}. {WAYS:,} classes, keys of {DIM:,} numbers, {QUERIES:,} queries; one pass each, three "
        f"up to {BRIEF:,} items.",
        "",
        "| adapting | " + " | ".join(heads) + f" | state MB | query ms at {sizes[-1]:,} |",
        "|---|" + "---:|" * (len(heads) + 2),
    ]
    for name in dict.fromkeys(row["method"] for row in found):
        each = [by_name.get((name, size), {}) for size in sizes]
        last, cells = each[-1], []
        for key, form in (("adapt_seconds", ".3g"), ("adapt_mb", ".0f")):
            values = [row.get(key) for row in each]
            cells += ["" if value is None else format(value, form) for value in values] + [slope(sizes, values)]
        cells += [
            format(last[key], form) if key in last else "" for key, form in (("state_mb", ".0f"), ("query_ms", ".3g"))
        ]
        lines.append(f"| {name if name == PRODUCT else f'`{name}`'} | " + " | ".join(cells) + " |")
    failed = [f"- `{row['method']}` failed at {row['items']:,}: {row['error']}" for row in found if "error" in row]
    base, faast = (by_name.get((name, sizes[-1]), {}).get("adapt_seconds") for name in (PRODUCT, "faast"))
    if base and faast:
        memory = by_name["faast", sizes[-1]]["adapt_mb"]
        failed.append(
            f"- FAAST adapts in {faast / base:.2f} times the time of the product (goal: {SLOWER}) and "
            f"{memory:.0f} MB (goal: {HEAVIER})."
        )
    return "\n".join([*lines, "", *failed] if failed else lines)


def main() -> None:
    """Measure what the command line says."""
    parser = ArgumentParser(prog="python -m tests.perf.scale", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("page", type=Path, nargs="?")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--steps", type=int)
    options = parser.parse_args()
    found, sizes = [], list(map(int, options.sizes.split(",")))
    for row in rows(options.accelerator, sizes, options.methods.split(","), options.steps):
        found.append(row)
        print(row, file=sys.stderr, flush=True)
        options.file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if options.page:
        replace_section(options.page, "scale", section(found))


if __name__ == "__main__":
    main()
