"""What adapting of closed-form methods on features takes, against FAAST on the same episodes."""

from collections.abc import Callable
from typing import Any

import torch

from bench import registry
from bench.testing.doubles import CosineBackbone
from bench.testing.driver import adapt
from bench.testing.problems import Problem, episodes_of, problem
from tests.perf.cases import DIM, WAY, Case

EPISODES, SHOTS = 600, 5
METHODS: dict[str, dict[str, Any]] = {
    "proker": {"beta": 1.0, "lam": 0.1},
    "ape": {"alpha": 1.0, "beta": 1.0, "gamma": 0.1},
    "lda": {},
    "nearest_mean": {},
    "ridge": {"lam": 1.0},
    "gda": {"alpha": 1.0},
}
"""Methods with configs in which nothing is searched, as in FAAST's own."""


def _adapting(name: str, groups: list[Problem], config: dict[str, Any]) -> Callable[[], None]:
    cls: Any = registry.method_class(name)
    backbone = CosineBackbone(DIM, DIM)

    def run() -> None:
        for given in groups:
            with torch.no_grad():
                adapt(cls(cls.Config(**config), backbone, given.shape), given.support)

    return run


def _case(name: str) -> Callable[[], Case]:
    def make() -> Case:
        given = problem(n_episodes=EPISODES, n_way=WAY, n_shot=SHOTS, n_query=1, key_dim=DIM, value_dim=DIM)
        groups = [episodes_of(given, slice(start, start + 64)) for start in range(0, EPISODES, 64)]
        config = METHODS[name]
        fields = ", ".join(f"{field}={value}" for field, value in config.items())
        return Case(
            what=f"adapting `{name}` to {EPISODES} episodes, 10-way 5-shot, d = 1,024" + (fields and f", {fields}"),
            against="`faast` on the same episodes",
            promise=1 / 3,
            ours=_adapting(name, groups, config),
            other=_adapting("faast", groups, {}),
        )

    make.__name__ = f"adapting_{name}"
    return make


CASES = tuple(map(_case, METHODS))
