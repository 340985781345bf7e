"""Scores of every method at each precision, on a tiny language model.

``python -m tests.helpers.precisions PAGE [ACCELERATOR]`` writes a table of docs/precision.md, by default that of the
CPU: the largest change of a score from float32.
"""

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
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


def scores(
    folder: Path, precision: str, accelerator: str = "cpu", chosen: Callable[[Case], bool] = lambda case: True,
    twice: Callable[[Case], bool] = lambda case: False,
) -> dict[str, list[Tensor]]:  # fmt: skip
    """Scores at a precision, by method.

    Args:
        folder: Folder of a language model.
        precision: The precision.
        accelerator: Where scores are computed.
        chosen: Whether a case is run.
        twice: Whether a case is run by two instances of its method, one after the other on the same backbone.

    Returns:
        Scores of each instance.
    """
    devices = DeviceOptions(accelerator=accelerator, precision=precision)
    found: dict[str, list[Tensor]] = {}
    loaded = registry.make_backbone(f"hf:{folder}")
    for case in filter(chosen, cases(copy.deepcopy(loaded), devices)):
        # Each method's run begins with weights in its precision, as of a backbone that was just loaded.
        backbone = copy.deepcopy(loaded)
        if case.method.reads is InputMode.INPUTS:
            backbone.to(WEIGHTS.get(precision))
        group = Group(replace(case, backbone=backbone))
        found[case.name] = [adapted(group, devices).scores.cpu() for _ in range(1 + twice(case))]
    return found


@contextmanager
def model() -> Iterator[Path]:
    """The folder of a tiny language model, while Lightning is quiet and garbage collections are short."""
    quiet_lightning()
    with TemporaryDirectory() as folder:
        save_model(Path(folder), "llama", context=256)
        with garbage_collection_frozen():
            yield Path(folder)


def change(found: Tensor, expected: Tensor) -> float:
    """Largest change of a score; of summed negative log-likelihoods, per token."""
    if found.shape[-1] == 2:
        found, expected = (each[..., 0] / each[..., 1] for each in (found, expected))
    return float((found - expected).abs().max())


def table(found: dict[str, dict[str, list[Tensor]]], device: str = "a CPU") -> str:
    """The largest changes of scores by precision and method, as Markdown."""
    precisions = [precision for precision in found if precision != FULL]
    lines = [
        f"Tiny Llama with random weights, on {device}, torch {torch.__version__.partition('+')[0]}.",
        "",
        f"| method | {' | '.join(precisions)} |",
        f"|---|{'---:|' * len(precisions)}",
    ]
    for name, full in found[FULL].items():
        changes = [change(found[precision][name][0], full[0]) for precision in precisions]
        lines.append(f"| {name} | {' | '.join(f'{each:.1g}' for each in changes)} |")
    return "\n".join(lines)


def main(page: Path, accelerator: str = "cpu") -> None:
    """Write the table of an accelerator to a page."""
    device = "a CPU" if accelerator == "cpu" else DeviceOptions(accelerator=accelerator).device_name()
    precisions = (FULL, *(PRECISIONS if accelerator == "cpu" else ON_GPU))
    with model() as folder:
        found = {precision: scores(folder, precision, accelerator) for precision in precisions}
    replace_section(page, f"precision on {accelerator}", table(found, device))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
