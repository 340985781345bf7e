"""Going on from a state: two parts are as one, and what is forgotten leaves no trace."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from bench import registry
from bench.contracts import AnyMethod, Continual, Kind, Removing, Support
from bench.plugin import OWN
from bench.testing.doubles import backbone_for
from bench.testing.driver import adapt, adapted
from bench.testing.items import columns, masked
from bench.testing.problems import Problem, problem
from methods._continual_clap import ContinualClap
from methods._continual_faast import ContinualFaast
from methods._continual_forward_forward import ContinualForwardForward
from methods._continual_gda import ContinualGda
from methods._continual_hebbian import ContinualHebbian
from methods._continual_knn import ContinualKnn
from methods._continual_lda import ContinualLda
from methods._continual_linear_attention import ContinualLinearAttention
from methods._continual_linear_probe import ContinualLinearProbe
from methods._continual_linear_projection import ContinualProjection
from methods._continual_nearest_mean import ContinualNearestMean
from methods._continual_projector import ContinualProjector
from methods._continual_ridge import ContinualRidge
from methods._continual_softmax_memory import ContinualSoftmaxMemory
from methods._continual_spsa_probe import ContinualSpsaProbe
from methods._continual_taskres import ContinualTaskRes
from methods._continual_zs_lp import ContinualZsLp

GIVEN = problem(n_way=4, n_shot=6, n_query=5, key_dim=16, sizes=[24, 20, 24])
HALF = 10
"""Items of the first part."""
SUMS: list[tuple[type[Removing], dict[str, Any]]] = [
    (ContinualFaast, {}),
    (ContinualRidge, {"lam": 0.1}),
    (ContinualLda, {"shrinkage": 0.3}),
    (ContinualGda, {"alpha": 1.0}),
    (ContinualNearestMean, {}),
    (ContinualLinearAttention, {}),
    (ContinualKnn, {"prior_strength": 4.0}),
    (ContinualSoftmaxMemory, {"prior_strength": 4.0}),
]
by_sums = pytest.mark.parametrize(("cls", "config"), SUMS, ids=[cls.__name__ for cls, _ in SUMS])


def moments(method: Any) -> Sequence[torch.Tensor]:
    sums = method._observed._sums
    return sums.count, sums.cross, sums.second


def pairs(method: Any) -> Sequence[torch.Tensor]:
    return method.memory.keys.double(), method.memory.values.double(), method.memory.mask.double()


STATE: dict[type[Removing], Callable[[Any], Sequence[torch.Tensor]]] = {
    ContinualFaast: lambda method: (method.memory._count, method.memory._sums.gram, method.memory._sums.cross),
    **dict.fromkeys((ContinualRidge, ContinualLda, ContinualGda), moments),
    ContinualNearestMean: lambda method: (method._sums, method._sizes),
    ContinualLinearAttention: lambda method: method.memory._sums,
    **dict.fromkeys((ContinualKnn, ContinualSoftmaxMemory), pairs),
}
"""What each of these keeps of the examples."""
TRAINED: list[tuple[type[Continual], dict[str, Any]]] = [
    (ContinualForwardForward, {"width": 8, "steps": 10, "lr": 0.01}),
    (ContinualProjector, {"steps": 5, "lr": 0.01}),
    (ContinualProjection, {"epochs": 3, "batch_size": 32, "lr": 0.1}),
    (ContinualZsLp, {"epochs": 4}),
    (ContinualTaskRes, {"epochs": 4, "lr": 0.01}),
]


def parts() -> tuple[Support, Support]:
    return columns(GIVEN.support, slice(0, HALF)), columns(GIVEN.support, slice(HALF, None))


def begun(cls: Any, first: Support, **config: Any) -> Any:
    method = cls(cls.Config(**config), backbone_for(cls), GIVEN.shape)
    adapt(method, first)
    return method


def gone_on(cls: Any, **config: Any) -> Any:
    first, second = parts()
    method = begun(cls, first, **config)
    method.continue_adapt()
    adapt(method, second)
    return method


def answers(method: AnyMethod, given: Problem = GIVEN) -> torch.Tensor:
    with torch.no_grad():
        found = method.predict(given.query)
    assert isinstance(found, torch.Tensor)
    return found


@by_sums
def test_two_support_sets_one_after_the_other_are_as_one(cls: Any, config: dict[str, Any]) -> None:
    plain = cls.__bases__[1]
    together = adapted(plain, GIVEN, **config)
    torch.testing.assert_close(answers(gone_on(cls, **config)), answers(together), rtol=1e-4, atol=1e-4)


@by_sums
def test_what_is_forgotten_leaves_no_trace(cls: Any, config: dict[str, Any]) -> None:
    first, second = parts()
    alone, method = begun(cls, first, **config), gone_on(cls, **config)
    assert not torch.allclose(answers(alone), answers(method), rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        method.forget(second)
        method.solve()
    torch.testing.assert_close(answers(method), answers(alone), rtol=1e-5, atol=1e-6)
    assert cls.removes(cls.Config(**config))


@by_sums
def test_what_is_kept_without_a_support_set_is_that_of_the_other_to_the_last_digits(
    cls: Any, config: dict[str, Any]
) -> None:
    first, second = parts()
    alone, method = begun(cls, first, **config), gone_on(cls, **config)
    method.forget(second)
    for found, expected in zip(*map(STATE[cls], (method, alone)), strict=True):
        assert found.shape == expected.shape
        assert (found.double() - expected.double()).abs().max() < 1e-9


def test_a_hebbian_memory_forgets_by_decay_alone() -> None:
    """With ten later pairs, a decay of 0.5 leaves a thousandth of the first ones."""
    _, second = parts()
    gone, alone = gone_on(ContinualHebbian, decay=0.5), begun(ContinualHebbian, second, decay=0.5)
    difference = (gone.memory.weights - alone.memory.weights).norm(dim=(1, 2)) / alone.memory.weights.norm(dim=(1, 2))
    assert (difference > 0).all()
    assert (difference < 0.01).all()
    assert gone.count.tolist() == [24, 20, 24]


def test_a_probe_goes_on_from_its_weights() -> None:
    first, second = parts()
    method = begun(ContinualLinearProbe, first, steps=20)
    weight, bias = method.weight.clone(), method.bias.clone()
    method.continue_adapt()
    method.loss(second)  # looks at the examples, without a step
    with torch.no_grad():
        method.finish()
    torch.testing.assert_close(method.weight, weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(method.bias, bias, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_probe_that_goes_on_with_the_same_examples_converges_as_one() -> None:
    short = replace(GIVEN.shape, n_support=24)
    given = Problem(GIVEN.support, GIVEN.query, short)
    method = ContinualLinearProbe(ContinualLinearProbe.Config(steps=300), backbone_for(ContinualLinearProbe), short)
    adapt(method, given.support)
    once = answers(method)
    method.continue_adapt()
    adapt(method, given.support)
    torch.testing.assert_close(answers(method), once, rtol=0.05, atol=0.1)


def test_a_search_along_random_directions_goes_on_from_its_weights() -> None:
    first, second = parts()
    method = begun(ContinualSpsaProbe, first, steps=20)
    weight = method.weight.detach().clone()
    method.continue_adapt()
    assert torch.equal(method.weight, weight)
    adapt(method, second)
    assert method._keys.shape == second.keys.shape
    assert not torch.equal(method.weight, weight)


@pytest.mark.parametrize(("cls", "config"), TRAINED, ids=[cls.__name__ for cls, _ in TRAINED])
def test_training_goes_on_as_a_fresh_one_that_starts_from_the_same_parameters(cls: Any, config: dict[str, Any]) -> None:
    first, second = parts()
    method = begun(cls, first, **config)
    learnt = answers(method)
    method.continue_adapt()
    fresh = cls.__bases__[-1](cls.Config(**config), method.backbone, GIVEN.shape)
    with torch.no_grad():
        for own, kept in zip(fresh.parameters(), method.parameters(), strict=True):
            own.copy_(kept)
    for each in (method, fresh):
        adapt(each, second)
    torch.testing.assert_close(answers(method), answers(fresh))
    assert not torch.allclose(answers(method), learnt, rtol=1e-3)


@pytest.mark.parametrize("prior", ["mix", "none"])
def test_classes_that_are_met_later_join_the_others(prior: str) -> None:
    """Class vectors start, and are held, as those of the support set that has them first."""
    halves = [masked(GIVEN.support, GIVEN.support.mask & (GIVEN.support.labels // 2 == half)) for half in (0, 1)]
    config = {"epochs": 2, "prior": prior}
    alone = [begun(ContinualClap, half, **config) for half in halves]
    method = ContinualClap(ContinualClap.Config(**config), alone[0].backbone, GIVEN.shape)
    if prior == "mix":
        zero_shot = method.backbone.class_logits(GIVEN.query.prior, GIVEN.query.classes)
        torch.testing.assert_close(answers(method), zero_shot)
    adapt(method, halves[0])
    method.continue_adapt()
    adapt(method, halves[1])
    for half, part in ((0, slice(0, 2)), (1, slice(2, 4))):
        torch.testing.assert_close(method.start[:, part], alone[half].start[:, part])
        torch.testing.assert_close(method.weights[:, part], alone[half].weights[:, part])


def test_each_continual_module_is_a_subclass_of_its_method_and_others_are_refused_by_name() -> None:
    found = []
    for name in (each for base in registry.find("methods") for each in registry.names_by_site(base)):
        plugin = registry.continual_plugin(name)
        method = registry.method_class(name)
        if plugin is None:
            continue
        cls = registry.continual_class(name, method)
        assert cls is not None
        assert issubclass(cls, Continual)
        assert issubclass(cls, method)
        assert registry.going_on_refusal(name, method, method.Config()) is None
        found.append(name)
    # All but those that choose or plan by all examples at once, or make one vector or prompt of a support set.
    own = {name for name, plugin in registry.find("methods").items() if plugin.origin == OWN}
    assert own - {name.partition("@")[0] for name in found} == {
        "ape", "ape_t", "fast_slow", "function_vector", "icv", "logistic_regression", "lp_plus_plus", "proker", "svm",
        "task_vector", "tip_adapter", "tip_adapter_f", "zero_shot",
    }  # fmt: skip
    assert "faast@hidden_states" in found
    reason = registry.going_on_refusal("svm", registry.method_class("svm"), registry.method_class("svm").Config())
    assert reason is not None
    assert reason.startswith("svm cannot go on")
    assert "\n" not in reason
    inside = registry.resolve_method("faast@hidden_states", Kind.TEXT_CLASSIFICATION, {})
    assert registry.continual_class("faast", inside.method) is None
    assert "solver" in (ContinualFaast.continues(ContinualFaast.Config(solver="pinv")) or "")
