"""What every plugin must keep to, whoever ships it; collected by pytest.

``bench test NAME`` runs it; the project's own tests run it on every plugin.
"""

import dataclasses
import os
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from bench import registry
from bench.cli.test import VARIABLE
from bench.contracts import (
    AnyMethod,
    Classes,
    ForwardMethod,
    GradientMethod,
    InputMode,
    Inputs,
    Kind,
    MethodConfig,
    Protocol,
    Query,
    Task,
)
from bench.testing.doubles import Problem, adapted, backbone_for, columns, episodes_of, padded, problem, scores


def _names(group: registry.Group) -> list[str]:
    chosen = os.environ.get(VARIABLE)
    return [name for name in registry.find(group) if chosen in {None, name}]


METHODS = _names("methods")
TASKS = _names("tasks")
# Fewer examples than key dimensions, and more, because closed forms take another way in each.
SHAPES = {
    "few": problem(n_shot=3, key_dim=16, sizes=[12, 9, 12]),
    "many": problem(n_shot=15, key_dim=16, sizes=[60, 60, 41], seed=1),
}

RTOL, ATOL = 1e-4, 1e-3
"""Float32 rounding of scores of about 100."""

every_method = pytest.mark.parametrize("name", METHODS)
every_shape = pytest.mark.parametrize("given", SHAPES.values(), ids=SHAPES.keys())


def load(name: str) -> type[AnyMethod]:
    found: type[AnyMethod] = registry.get("methods", name).load()
    return found


def short(cls: type[AnyMethod]) -> dict[str, Any]:
    """Few steps where steps are taken, large enough to be seen."""
    fields = cls.Config.model_fields
    return {name: value for name, value in {"steps": 4, "lr": 0.1}.items() if "steps" in fields and name in fields}


def answers(name: str, given: Problem, items_at_once: int | None = None) -> torch.Tensor:
    """``[episode, item, way]`` of a method that trains shortly, if it does."""
    return scores(load(name), given, items_at_once, **short(load(name)))


def assert_same(ours: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal but for rounding."""
    torch.testing.assert_close(ours, expected, rtol=RTOL, atol=ATOL)


@every_method
def test_declares_itself(name: str) -> None:
    plugin, cls = registry.get("methods", name), load(name)
    assert plugin.summary()
    assert cls.__doc__
    assert cls.source
    assert cls.kinds
    assert cls.kinds <= frozenset(Kind)
    assert isinstance(cls.reads, InputMode)
    assert cls.episodes_at_once >= 1
    assert issubclass(cls, ForwardMethod | GradientMethod)


@every_method
def test_config_describes_its_fields_and_rejects_others(name: str) -> None:
    config = load(name).Config
    assert issubclass(config, MethodConfig)
    assert all(field.description for field in config.model_fields.values())
    with pytest.raises(ValidationError):
        config.model_validate({"no_such_field": 1})


@every_method
@every_shape
def test_scores_have_the_shape_and_are_finite(name: str, given: Problem) -> None:
    answer = answers(name, given)
    assert answer.shape == (*given.query.mask.shape, given.shape.n_way)
    assert answer.isfinite().all()


@every_method
@every_shape
def test_other_labels_make_other_scores(name: str, given: Problem) -> None:
    """By more than the rounding that other tests allow for, or they would not see what leaks."""
    if not load(name).uses_support:
        pytest.skip("sees no labels")
    labels = ((given.support.labels + 1) % given.shape.n_way).where(given.support.mask, 0)
    other = replace(given, support=replace(given.support, labels=labels))
    assert not torch.allclose(answers(name, other), answers(name, given), rtol=RTOL, atol=ATOL)


@every_method
@every_shape
def test_is_deterministic(name: str, given: Problem) -> None:
    assert torch.equal(answers(name, given), answers(name, given))


@every_method
@every_shape
def test_episodes_are_independent(name: str, given: Problem) -> None:
    together = answers(name, given)
    for episode in range(given.shape.n_episodes):
        part = slice(episode, episode + 1)
        assert_same(answers(name, episodes_of(given, part)), together[part])


@every_method
@every_shape
def test_padding_changes_nothing(name: str, given: Problem) -> None:
    more = replace(given, support=padded(given.support, 3))
    assert_same(answers(name, more), answers(name, given))


@every_method
@every_shape
def test_order_of_examples_changes_nothing(name: str, given: Problem) -> None:
    if load(name).reads is InputMode.INPUTS:
        pytest.skip("a prompt has an order")
    order = torch.randperm(given.support.mask.shape[1], generator=torch.Generator().manual_seed(5))
    other = replace(given, support=columns(given.support, order))
    assert_same(answers(name, other), answers(name, given))


@every_method
@every_shape
def test_streaming_equals_one_batch(name: str, given: Problem) -> None:
    if not issubclass(load(name), ForwardMethod):
        pytest.skip("steps differ with the batches they are taken on")
    assert_same(answers(name, given, items_at_once=5), answers(name, given))


@every_method
@every_shape
def test_queries_do_not_see_each_other(name: str, given: Problem) -> None:
    part = replace(given, query=columns(given.query, slice(2, 5)))
    assert_same(answers(name, part), answers(name, given)[:, 2:5])


@every_method
def test_state_is_counted(name: str) -> None:
    cls = load(name)
    given = episodes_of(SHAPES["few"], slice(0, cls.episodes_at_once))
    method = adapted(cls, given, **short(cls))
    assert (method.state_bytes() > 0) == cls.uses_support
    assert (method.trainable_params() > 0) == issubclass(cls, GradientMethod)


@every_method
def test_rejects_the_config_of_another_method(name: str) -> None:
    class OtherConfig(MethodConfig):
        pass

    cls, given = load(name), SHAPES["few"]
    if cls.Config is MethodConfig:
        pytest.skip("takes no hyper-parameters, so any config will do")
    with pytest.raises(TypeError, match=cls.Config.__name__):
        cls(OtherConfig(), backbone_for(cls), given.shape)


def test_a_query_has_no_way_to_labels() -> None:
    reachable = {field.name for cls in (Query, Classes, Inputs) for field in dataclasses.fields(cls)}
    assert reachable == {"keys", "prior", "mask", "classes", "inputs", "values", "names", "positions", "fetch"}
    assert not hasattr(SHAPES["few"].query, "labels")


@pytest.mark.parametrize("name", TASKS)
def test_task_declares_itself(name: str) -> None:
    plugin = registry.get("tasks", name)
    cls: type[Task] = plugin.load()
    assert plugin.summary()
    assert cls.__doc__
    assert cls.citation
    assert cls.kind in Kind
    assert isinstance(cls.prompts, tuple)
    assert cls.prompts
    assert all("{label}" in prompt for prompt in cls.prompts)
    assert cls.prior_strength is None or cls.prior_strength >= 0
    assert isinstance(cls.protocol, Protocol)
    assert isinstance(cls.separator, str)
