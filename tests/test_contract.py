"""What every plugin must keep to, whoever ships it."""

import dataclasses
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from bench import plugins
from bench.contracts import (
    AnyMethod,
    Classes,
    ForwardMethod,
    GradientMethod,
    Inputs,
    Kind,
    MethodConfig,
    Protocol,
    Query,
    Reads,
    Task,
)
from tests.doubles import Problem, adapted, columns, episodes_of, padded, problem, scores

METHODS = sorted(plugins.find("methods"))
TASKS = sorted(plugins.find("tasks"))
# Fewer examples than key dimensions, and more, because closed forms take another way in each.
SHAPES = {
    "few": problem(n_shot=3, key_dim=16, sizes=[12, 9, 12]),
    "many": problem(n_shot=15, key_dim=16, sizes=[60, 60, 41], seed=1),
}

every_method = pytest.mark.parametrize("name", METHODS)
every_shape = pytest.mark.parametrize("given", SHAPES.values(), ids=SHAPES.keys())


def load(name: str) -> type[AnyMethod]:
    found: type[AnyMethod] = plugins.get("methods", name).load()
    return found


def assert_same(ours: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal but for float32 rounding of scores of about 100."""
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-3)


@every_method
def test_declares_itself(name: str) -> None:
    plugin, cls = plugins.get("methods", name), load(name)
    assert plugin.summary()
    assert cls.__doc__
    assert cls.source
    assert cls.kinds
    assert cls.kinds <= frozenset(Kind)
    assert isinstance(cls.reads, Reads)
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
    answer = scores(load(name), given)
    assert answer.shape == (*given.query.mask.shape, given.setting.n_way)
    assert answer.isfinite().all()


@every_method
@every_shape
def test_is_deterministic(name: str, given: Problem) -> None:
    assert torch.equal(scores(load(name), given), scores(load(name), given))


@every_method
@every_shape
def test_episodes_are_independent(name: str, given: Problem) -> None:
    together = scores(load(name), given)
    for episode in range(given.setting.n_episodes):
        part = slice(episode, episode + 1)
        assert_same(scores(load(name), episodes_of(given, part)), together[part])


@every_method
@every_shape
def test_padding_changes_nothing(name: str, given: Problem) -> None:
    more = replace(given, support=padded(given.support, 3))
    assert_same(scores(load(name), more), scores(load(name), given))


@every_method
@every_shape
def test_order_of_examples_changes_nothing(name: str, given: Problem) -> None:
    if load(name).reads is Reads.INPUTS:
        pytest.skip("a prompt has an order")
    order = torch.randperm(given.support.mask.shape[1], generator=torch.Generator().manual_seed(5))
    other = replace(given, support=columns(given.support, order))
    assert_same(scores(load(name), other), scores(load(name), given))


@every_method
@every_shape
def test_streaming_equals_one_batch(name: str, given: Problem) -> None:
    if not issubclass(load(name), ForwardMethod):
        pytest.skip("steps differ with the batches they are taken on")
    assert_same(scores(load(name), given, items_at_once=5), scores(load(name), given))


@every_method
@every_shape
def test_queries_do_not_see_each_other(name: str, given: Problem) -> None:
    part = replace(given, query=columns(given.query, slice(2, 5)))
    assert_same(scores(load(name), part), scores(load(name), given)[:, 2:5])


@every_method
def test_state_is_counted(name: str) -> None:
    cls = load(name)
    given = episodes_of(SHAPES["few"], slice(0, cls.episodes_at_once))
    method = adapted(cls, given)
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
        cls(OtherConfig(), adapted(cls, episodes_of(given, slice(0, 1))).backbone, given.setting)


def test_a_query_has_no_way_to_labels() -> None:
    reachable = {field.name for cls in (Query, Classes, Inputs) for field in dataclasses.fields(cls)}
    assert reachable == {"keys", "prior", "mask", "classes", "inputs", "values", "names", "positions", "fetch"}
    assert not hasattr(SHAPES["few"].query, "labels")


@pytest.mark.parametrize("name", TASKS)
def test_task_declares_itself(name: str) -> None:
    plugin = plugins.get("tasks", name)
    cls: type[Task] = plugin.load()
    assert plugin.summary()
    assert cls.__doc__
    assert cls.citation
    assert cls.kind in Kind
    assert isinstance(cls.prompts, tuple)
    assert cls.prompts
    assert all("{label}" in prompt for prompt in cls.prompts)
    assert cls.prior_count is None or cls.prior_count >= 0
    assert isinstance(cls.protocol, Protocol)
    assert isinstance(cls.separator, str)
