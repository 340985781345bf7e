"""Scores of every method on small fixed inputs, kept in ``golden_scores.json``.

Where they change and no plugin's own code did, the harness changed, and PROTOCOL must be raised. Keep them anew with
``python -m tests.golden_scores --update``.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from bench import registry
from bench.contracts import GradientMethod, Kind, Method, ProblemShape
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.results.store import Store
from bench.runs.runner import Runner, same_process
from bench.testing.doubles import tiny_language_model
from bench.testing.driver import adapt, scores
from bench.testing.problems import problem
from bench.testing.tiny_models import save_model
from bench.toolkit.versions import PROTOCOL
from tests.helpers.language import TEXTS, problem_shape, query, support
from tests.helpers.packages import declared, forget
from tests.helpers.runs import Notebook, grid
from tests.helpers.tiny_tasks import TASKS

KEPT = Path(__file__).with_name("golden_scores.json")
TOLERANCE = 1e-5
"""Largest difference, as a norm relative to that of the kept scores."""
UPDATE = "python -m tests.golden_scores --update"
RAISE = f"raise PROTOCOL in bench/toolkit/versions.py, then regenerate by `{UPDATE}`"
OUTSIDE = Path(__file__).parent / "outside"

ENTRY_POINTS = {
    "bench.tasks": {"stripes": "bench_outside.stripes:PLUGIN", **TASKS},
    "bench.backbones": {"pixels": "bench_outside.pixels:Pixels"},
}

PROBLEMS: dict[str, dict[str, Any]] = {
    # Fewer examples than key dimensions, and more, because closed forms take another way in each; some are padding.
    "few": {"n_shot": 2, "sizes": [6, 5]},
    "many": {"n_shot": 8, "sizes": [24, 20], "seed": 1},
}
RUNS: dict[str, dict[str, Any]] = {
    "vision": {"task": "stripes", "backbone": "pixels", "methods": ["zero_shot", "faast", "knn", "linear_probe"]},
    "text": {"task": "tiny_text", "methods": ["zero_shot", "faast"], "shots": [2]},
    "translation": {"task": "tiny_translation", "methods": ["zero_shot", "knn_lm"], "shots": [2]},
}


def method_names() -> list[str]:
    """All methods, each at all its sites."""
    return [name for plugin in registry.find("methods") for name in registry.names_by_site(plugin)]


def cases() -> dict[str, Callable[[], list[float]]]:
    """What makes the scores of each case, by name."""
    made: dict[str, Callable[[], list[float]]] = {}
    for name in method_names():
        made |= {f"{name} {given}": partial(classification, name, given) for given in PROBLEMS}
        if Kind.LANGUAGE_MODELLING in registry.method_class(name).kinds:
            made[f"{name} texts"] = partial(texts, name)
    return made | {f"run {name}": partial(runs, name) for name in RUNS}


def short(cls: type[Method]) -> dict[str, Any]:
    """Few steps of training, so that rounding does not grow."""
    return {"steps": 4} if "steps" in cls.Config.model_fields and issubclass(cls, GradientMethod) else {}


def classification(name: str, given: str) -> list[float]:
    """Logits ``[episode, item, way]`` of a method."""
    cls: Any = registry.method_class(name)
    found = scores(cls, problem(n_episodes=2, n_way=3, n_query=2, **PROBLEMS[given]), **short(cls))
    return [float(value) for value in found.flatten()]


def texts(name: str) -> list[float]:
    """Summed negative log-likelihoods and numbers of tokens of texts, after others were learnt."""
    cls: Any = registry.method_class(name)
    shape: ProblemShape = problem_shape()
    method = cls(cls.Config(**short(cls)), tiny_language_model(), shape)
    adapt(method, support(TEXTS[:2]))
    with torch.no_grad():
        return [float(value) for value in method.predict(query(TEXTS[1:])).flatten()]


def runs(name: str) -> list[float]:
    """A grid of runs through the runner: drawn, encoded, adapted to, answered, scored.

    Of each run the scores of its episodes, a checksum of the queries that were drawn, and the sums of what is kept of
    each query.
    """
    with plugins(), TemporaryDirectory() as folder:
        block = {"seeds": [0], **RUNS[name]}
        if "backbone" not in block:
            block["backbone"] = f"hf:{save_model(Path(folder) / 'model', 'llama', context=128)}"
        quiet_lightning()
        store, devices = Store(Path(folder) / "store"), DeviceOptions(accelerator="cpu")
        report = Runner(store, devices, Notebook(), isolate=same_process).run(grid(**block))
        found: list[float] = []
        for record in sorted(report.records, key=lambda record: (record.spec.method, str(record.spec.shots))):
            predictions = store.predictions(record)
            assert predictions is not None, record.reason
            drawn = float(np.dot(predictions.query, 1 + np.arange(len(predictions))))
            found += [*record.episode_scores, drawn, *map(float, predictions.values.sum(axis=0))]
    return found


@contextmanager
def plugins() -> Iterator[None]:
    """Has the plugins of these runs found, as if a package had brought them."""
    sys.path.insert(0, str(OUTSIDE))
    try:
        with TemporaryDirectory() as folder, declared(Path(folder) / "site", ENTRY_POINTS):
            yield
    finally:
        sys.path.remove(str(OUTSIDE))
        forget(OUTSIDE)  # other tests load the same package from where they have installed it


@cache
def kept() -> dict[str, Any]:
    """The kept scores, with the protocol that made them."""
    found: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {"protocol": PROTOCOL, "scores": {}}
    return found


def difference(found: list[float], expected: list[float]) -> float:
    """Norm of the difference relative to that of the expected scores; infinite where they are not as many."""
    if len(found) != len(expected):
        return float("inf")
    ours, theirs = np.array(found), np.array(expected)
    return float(np.linalg.norm(ours - theirs) / max(float(np.linalg.norm(theirs)), 1e-12))


def update(same_protocol: bool) -> str:
    """Keep the scores anew; what was kept and stays is not rounded anew.

    Args:
        same_protocol: Allow other scores by the same protocol: a plugin's own code or a library changed them, which
            identities say already.

    Returns:
        One line on what changed.

    Raises:
        SystemExit: Scores changed and PROTOCOL did not.
    """
    made = {name: [float(f"{value:.9g}") for value in case()] for name, case in cases().items()}
    old = kept()["scores"]
    changed = [name for name in made if name in old and difference(made[name], old[name]) > TOLERANCE]
    if changed and kept()["protocol"] == PROTOCOL and not same_protocol:
        raise SystemExit(
            f"{len(changed)} scores changed ({', '.join(changed[:3])} ...): {RAISE}; or add --same-protocol if a "
            "plugin's own code or a library's version changed them and no part of the harness did"
        )
    scores = {name: old[name] if name in old and name not in changed else made[name] for name in sorted(made)}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in scores.items())
    KEPT.write_text(f'{{\n "protocol": {PROTOCOL},\n "scores": {{\n{lines}\n }}\n}}\n')
    return f"{len(scores)} kept, {len(changed)} changed, {len(made.keys() - old.keys())} new"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", required=True)
    parser.add_argument("--same-protocol", action="store_true")
    print(update(parser.parse_args().same_protocol))
