"""Scores of every method at each precision, on a tiny language model.

``python -m tests.helpers.precisions PAGE [ACCELERATOR]`` writes a table of docs/precision.md, by default that of the
CPU: the largest change of a score from float32.
"""

import copy
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench import registry
from bench.contracts import Backbone, Classes, InputMode, Kind, Pool
from bench.engine.encoding import encode
from bench.engine.lightning_plugins import WEIGHTS
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.meters.memory import garbage_collection_frozen
from bench.testing.problems import Problem, episodes_of, language_problem, problem
from bench.testing.tiny_models import save_model
from tests.helpers.adaptation import Case, Group, adapted, own_methods, short_config
from tests.helpers.docs import replace_section

FULL = "32-true"
PRECISIONS = ("64-true", "bf16-mixed", "bf16-true", "16-true")
"""Those that a CPU has; it refuses 16-mixed."""
ON_GPU = ("64-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true")
NAMES = (" good", " bad", " happy", " awful")


@dataclass(frozen=True)
class Scores:
    """Scores of two instances of a method, one after the other."""

    first: Tensor
    second: Tensor


def cases(backbone: Backbone, devices: DeviceOptions) -> Iterator[Case]:
    """Every method that serves a language model, on texts with classes and, where it does, on texts to model."""
    one = episodes_of(problem(n_episodes=2, n_way=len(NAMES), n_shot=3, n_query=3), slice(0, 1))
    texts = replace(one, shape=replace(one.shape, kind=Kind.TEXT_CLASSIFICATION))
    with_features = encoded(texts, backbone, devices)
    for name, method in own_methods().items():
        if Kind.TEXT_CLASSIFICATION in method.kinds:
            given = with_features if method.reads is InputMode.FEATURES else texts
            yield Case(name, method, short_config(method), backbone, given)
        if Kind.LANGUAGE_MODELLING in method.kinds:
            yield Case(
                f"{name} on texts", method, short_config(method), backbone, language_problem(Kind.LANGUAGE_MODELLING)
            )


def encoded(given: Problem, backbone: Backbone, devices: DeviceOptions) -> Problem:
    """The problem with features of its texts at the precision of the options."""
    values = backbone.class_embeddings(NAMES, ["{label}"]).float().cpu().unsqueeze(0)
    classes = Classes(values, (NAMES,))

    def with_features(items: Any) -> Any:
        pool = Pool.of_texts(items.inputs.episode(0))
        found = encode(backbone, pool, np.arange(len(pool.labels)), devices).features
        assert found is not None
        return replace(items, keys=found.keys[None], prior=found.prior[None], classes=classes)

    shape = replace(given.shape, key_dim=values.shape[-1], value_dim=values.shape[-1])
    return Problem(with_features(given.support), with_features(given.query), shape)


def scores(folder: Path, precision: str, accelerator: str = "cpu") -> dict[str, Scores]:
    """Scores of every method at a precision, each from two instances on the same backbone."""
    devices = DeviceOptions(accelerator=accelerator, precision=precision)
    found: dict[str, Scores] = {}
    loaded = registry.make_backbone(f"hf:{folder}")
    for case in cases(copy.deepcopy(loaded), devices):
        # Each method's run begins with weights in its precision, as of a backbone that was just loaded.
        backbone = copy.deepcopy(loaded)
        if case.method.reads is InputMode.INPUTS:
            backbone.to(WEIGHTS.get(precision))
        run = partial(adapted, Group(replace(case, backbone=backbone)), devices)
        found[case.name] = Scores(run().scores.cpu(), run().scores.cpu())
    return found


def all_scores(accelerator: str = "cpu") -> dict[str, dict[str, Scores]]:
    """Scores by precision and method."""
    precisions = PRECISIONS if accelerator == "cpu" else ON_GPU
    quiet_lightning()
    with TemporaryDirectory() as folder:
        save_model(Path(folder), "llama", context=256)
        with garbage_collection_frozen():
            return {precision: scores(Path(folder), precision, accelerator) for precision in (FULL, *precisions)}


def change(found: Tensor, expected: Tensor) -> float:
    """Largest change of a score; of summed negative log-likelihoods, per token."""
    if found.shape[-1] == 2:
        found, expected = (each[..., 0] / each[..., 1] for each in (found, expected))
    return float((found - expected).abs().max())


def table(found: dict[str, dict[str, Scores]], device: str = "a CPU") -> str:
    """The largest changes as Markdown."""
    precisions = [precision for precision in found if precision != FULL]
    lines = [
        f"Tiny Llama with random weights, on {device}, torch {torch.__version__.partition('+')[0]}.",
        "",
        f"| method | {' | '.join(precisions)} |",
        f"|---|{'---:|' * len(precisions)}",
    ]
    for name, full in found[FULL].items():
        changes = [change(found[precision][name].first, full.first) for precision in precisions]
        lines.append(f"| {name} | {' | '.join(f'{each:.1g}' for each in changes)} |")
    return "\n".join(lines)


def main(page: Path, accelerator: str = "cpu") -> None:
    """Write the table of an accelerator to a page."""
    device = "a CPU" if accelerator == "cpu" else DeviceOptions(accelerator=accelerator).device_name()
    replace_section(page, f"precision on {accelerator}", table(all_scores(accelerator), device))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
