"""Adaptation under Lightning's trainers without a task: one method with a config on a problem by hand."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from bench import registry
from bench.contracts import AnyMethod, Backbone, Query, Support
from bench.engine.adapt import AdaptOptions, adapt_and_answer
from bench.engine.group_result import GroupResult
from bench.engine.trainer import DeviceOptions
from bench.plugin import OWN
from bench.testing.items import columns
from bench.testing.problems import Problem

STEPS = 4
SHORT: dict[str, Any] = {"steps": STEPS, "epochs": 2, "lr": 0.01, "prompts": 8, "trials": 4}
"""Fields of a training that is short and changes scores, and numbers of prompts that are read."""


@dataclass(frozen=True)
class Case:
    """A method with a config on a problem."""

    name: str
    method: type[AnyMethod]
    config: dict[str, Any]
    backbone: Backbone
    given: Problem


def own_methods() -> dict[str, Any]:
    """Classes of the project's methods at each site, by name."""
    names = (name for base, plugin in registry.find("methods").items() if plugin.origin == OWN
             for name in registry.names_by_site(base))  # fmt: skip
    return {name: registry.method_class(name) for name in names}


def short_config(method: Any) -> dict[str, Any]:
    """Fields of a method's config for a short training on few prompts."""
    return {field: value for field, value in SHORT.items() if field in method.Config.model_fields}


class Group:
    """What adaptation reads of a group of episodes."""

    def __init__(self, case: Case) -> None:
        self.case, self.run, self.source = case, self, case
        self.input_mode = case.method.input_mode_for(case.given.shape.kind, type(case.backbone))
        self.episodes = SimpleNamespace(query=case.given.query.inputs.positions, stages=())

    def make_method(self, backbone: Backbone, shape: Any) -> AnyMethod:
        return self.case.method(self.case.method.Config(**self.case.config), backbone, shape)

    def problem_shape(self) -> Any:
        return self.case.given.shape

    def support_batches(self, feed: Any = None) -> Iterator[Support]:
        half = self.case.given.support.mask.shape[1] // 2
        for part in (slice(0, half), slice(half, None)):
            yield columns(self.case.given.support, part)

    def training_batches(self, batch_size: int | None, feed: Any = None) -> Iterator[Support]:
        while True:
            yield self.case.given.support

    def query_batches(self) -> Iterator[Query]:
        yield self.case.given.query


def adapted(group: Group, devices: DeviceOptions, steps: int | None = None) -> GroupResult:
    """The answers of a group, after so few steps as are given; memory is not measured."""
    return adapt_and_answer(group, devices, AdaptOptions(steps, measured=False))  # type: ignore[arg-type]
