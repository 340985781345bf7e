"""Every method and kind of backbone on the pretend device and on the CPU: differences, copies and waits, as JSON lines.

``python -m tests.helpers.pretend_program`` in a process of its own, because the device stays.
"""

import gc
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from unittest.mock import patch

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from torch import Tensor

from bench import registry
from bench.contracts import LANGUAGE, Backbone, InputMode, Kind, Pool, Query
from bench.engine.encoding import encode
from bench.engine.group_result import GroupResult
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.testing.doubles import CosineBackbone, backbone_for
from bench.testing.items import columns
from bench.testing.problems import Problem, episodes_of, language_problem, problem
from bench.testing.tiny_models import save_model
from bench.toolkit import precision
from tests.helpers import pretend_device, tiny_clip
from tests.helpers.adaptation import STEPS, Case, Group, adapted, own_methods, short_config
from tests.helpers.pretend_device import PretendMode, PretendOptions, counts

FEW, MANY = problem(n_episodes=2, n_shot=3, key_dim=16), problem(n_episodes=2, n_shot=15, key_dim=16, seed=1)
"""Fewer examples than key dimensions, and more: closed forms are computed differently."""
FAMILIES = ("gpt2", "llama")
ON_GPT2 = {"faast@hidden_states", "function_vector", "in_context", "knn_lm", "lora", "mezo", "prefix_tuning"}
"""Methods that are run on GPT-2 too, one for each way to use a decoder: memories, heads, prompts, a store of tokens,
adapters, weights themselves, virtual tokens. What differs between decoders is not the methods' own."""
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "faast": [{"alpha": "auto", "prior_strength": "auto"}, {"solver": "pinv"}],
    "faast@hidden_states": [{"solver": "published"}],
    "hebbian": [{"decay": 0.9}],
    "in_context": [{"calibrate": "support", "orders": 2}],
    "linear_probe": [{"prior": "auto"}],
    "lora": [{"dropout": 0.5}],
}
"""Further configs of methods that compute in several ways."""


@dataclass(frozen=True)
class Cost:
    """Bytes copied to the device, and waits."""

    bytes: int
    waits: int

    @classmethod
    def now(cls) -> Self:
        return cls(counts.bytes, counts.waits.total())

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.bytes - other.bytes, self.waits - other.waits)


class CountedGroup(Group):
    """A group that notes what adapting has cost."""

    def query_batches(self) -> Iterator[Query]:
        self.adapted = Cost.now()
        yield from super().query_batches()


def cases(backbones: dict[str, Backbone]) -> Iterator[Case]:
    """All methods of the project, at each site, on each kind of task that they serve."""
    for name, method in own_methods().items():
        for more in ({}, *OPTIONS.get(name, [])):
            for where, backbone, given in problems(name, method, backbones):
                if given.shape.kind is Kind.TEXT_GENERATION and "calibrate" in more:
                    continue
                shown = " ".join([name, where, *(f"{key}={value}" for key, value in more.items())])
                yield Case(shown, method, short_config(method) | more, backbone, given)


def problems(name: str, method: Any, backbones: dict[str, Backbone]) -> Iterator[tuple[str, Backbone, Problem]]:
    """Problems of a method with their backbones."""
    if method.reads is InputMode.FEATURES:
        for size, given in (("few", FEW), ("many", MANY)):
            yield size, CosineBackbone(), given
        return
    one = episodes_of(FEW, slice(0, 1))
    texts = replace(one, shape=replace(one.shape, kind=Kind.TEXT_CLASSIFICATION))
    if Kind.IMAGE_CLASSIFICATION in method.kinds:
        yield "images", backbone_for(method), one
    for family, backbone in backbones.items():
        if Kind.TEXT_CLASSIFICATION in method.kinds and (family == "llama" or name in ON_GPT2):
            yield f"{family} classification", backbone, texts
        if family == "llama":
            for kind in sorted(method.kinds & LANGUAGE - {Kind.TEXT_CLASSIFICATION}):
                given = language_problem(kind)
                protocol = replace(given.shape.protocol, max_new_tokens=2)
                yield f"{family} {kind}", backbone, replace(given, shape=replace(given.shape, protocol=protocol))


def measured(case: Case, options: DeviceOptions, steps: int | None = None) -> tuple[GroupResult, Cost, Cost]:
    """Answers, and the costs of adapting and answering."""
    group, began = CountedGroup(case), Cost.now()
    result = adapted(group, options, steps)
    return result, group.adapted - began, Cost.now() - group.adapted


ON_CPU: dict[str, GroupResult] = {}
"""Answers on the CPU by case."""


def answers_on_cpu(case: Case, backbone: Backbone) -> GroupResult:
    """Answers on the CPU, which two comparisons need."""
    if case.name not in ON_CPU:
        ON_CPU[case.name], *_ = measured(replace(case, backbone=backbone), DeviceOptions(accelerator="cpu"))
    return ON_CPU[case.name]


def compared(case: Case, on_cpu: Backbone) -> dict[str, Any]:
    """One case on both devices, and with half of the steps and queries on the device."""
    expected = answers_on_cpu(case, on_cpu)
    n_items = case.given.query.mask.shape[1]
    fewer = replace(case, given=replace(case.given, query=columns(case.given.query, slice(0, n_items // 2))))
    with PretendMode():
        pretend_device.move(case.backbone)
        found, adapting, answering = measured(case, PretendOptions())
        _, less, for_fewer = measured(fewer, PretendOptions(), STEPS // 2)
    steps, queries = adapting - less, answering - for_fewer
    return {
        "reads": case.method.reads,
        "trained": found.steps > 0,
        "difference": difference(found.scores, expected.scores),
        "same_texts": found.texts == expected.texts,
        "bytes_of_steps": steps.bytes if found.steps else 0,
        "waits_of_steps": steps.waits if found.steps else 0,
        "waits_per_query": queries.waits / (n_items - n_items // 2),
    }


def difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference of scores, as a share of the largest score."""
    if not expected.numel():
        return 0.0
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))


def without_float64(case: Case, on_cpu: Backbone) -> dict[str, Any]:
    """One case on a device without float64."""
    expected = answers_on_cpu(case, on_cpu)
    with PretendMode(), patch.object(precision, "WITHOUT_FLOAT64", {pretend_device.NAME}):
        pretend_device.move(case.backbone)
        counts.float64 = False
        try:
            found, *_ = measured(case, PretendOptions())
        finally:
            counts.float64 = True
    notes = [note for name, note in found.notes.items() if name in {"computed", "closed_forms"}]
    return {"reads": case.method.reads, "difference": difference(found.scores, expected.scores), "notes": notes}


def encoded(backbone: Backbone, pool: Pool) -> dict[str, Any]:
    """Features of a few items on both devices, moved there and back."""
    positions = np.arange(len(pool.labels))
    expected = encode(backbone, pool, positions, DeviceOptions(accelerator="cpu", batch_size=4)).features
    with PretendMode():
        pretend_device.move(backbone)
        found = encode(backbone, pool, positions, PretendOptions(batch_size=4)).features
    assert expected is not None
    assert found is not None
    pairs = ((found.keys, expected.keys), (found.prior, expected.prior))
    return {"difference": max(difference(*pair) for pair in pairs)}


def pools(folder: Path) -> Iterator[tuple[str, Backbone, Pool]]:
    """Each kind of backbone with a few items."""
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (48, 40, 3), dtype=np.uint8)) for _ in range(6)]
    images = Pool(Dataset.from_dict({"input": pictures}), np.zeros(len(pictures), dtype=np.int64))
    texts = Pool.of_texts([f"Word: {'very ' * place}happy\nSentiment:" for place in range(6)])
    for family in FAMILIES:
        yield f"hf {family}", registry.make_backbone(f"hf:{folder / family}"), texts
    yield "efficientnet_lite0", registry.make_backbone("efficientnet_lite0"), images
    for name in tiny_clip.VISION:
        file = tiny_clip.save(folder / f"{name}.pt", name)
        yield f"open_clip {name}", registry.make_backbone(f"open_clip:{name}/{file}"), images


def main(chosen: Sequence[str]) -> None:
    """Print a row for each case, or for those with one of some words in their names."""
    quiet_lightning()
    torch.set_num_threads(1)
    pretend_device.install()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for family in FAMILIES:
            save_model(folder / family, family, context=256)

        def backbones() -> dict[str, Backbone]:
            return {family: registry.make_backbone(f"hf:{folder / family}") for family in FAMILIES}

        works: list[tuple[str, Callable[[], dict[str, Any]]]] = []
        for case, other in zip(cases(backbones()), cases(backbones()), strict=True):
            works.append((case.name, partial(compared, case, other.backbone)))
            if case.given is MANY or case.name.endswith("llama classification"):
                works.append((f"{case.name} without float64", partial(without_float64, case, other.backbone)))
        works += [(f"encode {name}", partial(encoded, *given)) for name, *given in pools(folder)]
        gc.collect()
        gc.freeze()  # the meters collect before each stage: half a second with all loaded objects
        for name, work in works:
            if chosen and not any(word in name for word in chosen):
                continue
            began = time.process_time()
            try:
                row = work()
            except Exception:
                row = {"error": traceback.format_exc()}
            seconds = round(time.process_time() - began, 2)
            print(json.dumps({"case": name} | row | {"cpu_seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
