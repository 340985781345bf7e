"""Ridge regression against scikit-learn's, and its choice of lam against a plain loop."""

import pytest
import torch
from sklearn.linear_model import Ridge as SklearnRidge
from torch import Tensor
from torch.nn.functional import one_hot

from bench.contracts import MethodConfig
from bench.testing.answers import Answers
from bench.testing.doubles import backbone_for
from bench.testing.driver import adapted
from bench.testing.method_contract import MethodContract
from bench.testing.problems import Problem, problem
from methods.ridge import LAMBDAS, STRENGTH, RidgeMemory, RidgeOnFeatures, RidgeOnHiddenStates
from tests.helpers.items import held_fifth, support_of

SHAPES = {"few": problem(n_shot=3, sizes=[12, 9, 12]), "many": problem(n_shot=15, sizes=[60, 47, 60])}
every_shape = pytest.mark.parametrize("given", SHAPES.values(), ids=SHAPES.keys())


def fitted(keys: Tensor, labels: Tensor, lam: float) -> SklearnRidge:
    return SklearnRidge(alpha=lam, fit_intercept=False, solver="svd").fit(keys, one_hot(labels, 4).double())


def items(given: Problem, episode: int) -> tuple[Tensor, Tensor]:
    """Keys and labels of the real items."""
    keys, labels = map(torch.from_numpy, support_of(given, episode))
    return keys, labels


@every_shape
@pytest.mark.parametrize("lam", [1e-3, 1.0, 100.0])
def test_equals_scikit_learn(given: Problem, lam: float) -> None:
    scores = adapted(RidgeOnFeatures, given, items_at_once=7, lam=lam).predict(given.query)
    for episode in range(3):
        keys, labels = items(given, episode)
        expected = fitted(keys, labels, lam).predict(given.query.keys[episode].double())
        torch.testing.assert_close(scores[episode].double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-6)


@every_shape
def test_random_features_are_one_fixed_projection(given: Problem) -> None:
    method = adapted(RidgeOnFeatures, given, items_at_once=7, lam=10.0, random_features=40)
    assert torch.equal(method.projection, adapted(RidgeOnFeatures, given, random_features=40).projection)
    scores = method.predict(given.query)
    for episode in range(3):
        keys, labels = items(given, episode)
        random = (keys @ method.projection.double()).clamp(min=0)
        query = (given.query.keys[episode].double() @ method.projection.double()).clamp(min=0)
        expected = torch.from_numpy(fitted(random, labels, 10.0).predict(query))
        torch.testing.assert_close(scores[episode].double(), expected, rtol=1e-4, atol=1e-5)


@every_shape
def test_lam_has_the_least_error_on_a_fifth_then_all_is_refitted(given: Problem) -> None:
    scores = adapted(RidgeOnFeatures, given, items_at_once=7).predict(given.query)
    for episode in range(3):
        (keys, labels), held = items(given, episode), held_fifth(given, episode)
        target = one_hot(labels, 4).double()[held]
        errors = []
        for lam in LAMBDAS:
            answer = torch.from_numpy(fitted(keys[~held], labels[~held], lam).predict(keys[held]))
            errors.append(float((answer - target).square().sum()))
        best = LAMBDAS[errors.index(min(errors))]
        expected = torch.from_numpy(fitted(keys, labels, best).predict(given.query.keys[episode].double()))
        torch.testing.assert_close(scores[episode].double(), expected, rtol=1e-5, atol=1e-6)


def test_one_example_per_class_takes_the_largest_lam() -> None:
    given = problem(n_shot=1)
    scores = adapted(RidgeOnFeatures, given).predict(given.query) * LAMBDAS[-1]
    sums = one_hot(given.support.labels, 4).float().mT @ given.support.keys
    torch.testing.assert_close(scores, given.query.keys @ sums.mT, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sizes", [[0, 12, 5], [0, 0, 0]])
def test_an_episode_without_examples_scores_0(sizes: list[int]) -> None:
    given = problem(sizes=sizes)
    assert not adapted(RidgeOnFeatures, given).predict(given.query)[0].any()


def test_state_does_not_grow_with_the_support() -> None:
    sizes = {adapted(RidgeOnFeatures, problem(n_shot=shots)).state_bytes() for shots in (1, 3, 30)}
    assert sizes == {4 * 3 * 16 * 4}


@every_shape
@pytest.mark.parametrize("penalty", [{"lam": 1e-3}, {"lam": 10.0}, {"strength": 1e-2}, {"strength": 1.0}])
def test_both_sites_are_one_estimator(given: Problem, penalty: dict[str, float]) -> None:
    """The map of the same pairs, from an eigendecomposition on features and a Cholesky factor on hidden states."""
    on_features = adapted(RidgeOnFeatures, given, items_at_once=7, **penalty)
    memory = RidgeMemory(3, given.shape.key_dim, given.shape.n_way, RidgeOnHiddenStates.Config(**penalty))
    values = one_hot(given.support.labels, given.shape.n_way).float()
    memory.observe(given.support.keys, values, given.support.mask)
    memory.solve()
    torch.testing.assert_close(memory.weights.mT, on_features.weights, rtol=1e-4, atol=1e-5)


def test_a_given_lam_replaces_the_default_strength_on_hidden_states() -> None:
    assert RidgeOnHiddenStates.Config().strength == STRENGTH
    config = RidgeOnHiddenStates.Config(lam=2.0)
    assert (config.lam, config.strength) == (2.0, None)


def test_episodes_share_random_features_and_the_contract_suite_finds_it() -> None:
    class Silent(RidgeOnFeatures):
        """Does not say that its episodes share a projection."""

        @classmethod
        def shares_draws(cls, config: MethodConfig) -> bool:
            return False

    config = {"random_features": 40, "lam": 10.0}
    assert RidgeOnFeatures.shares_draws(RidgeOnFeatures.Config(**config))
    assert not RidgeOnFeatures.shares_draws(RidgeOnFeatures.Config())
    check = MethodContract().test_says_whether_episodes_share_random_numbers
    check(Answers(RidgeOnFeatures, config, backbone_for(RidgeOnFeatures)), SHAPES["few"])
    with pytest.raises(AssertionError, match="override shares_draws"):
        check(Answers(Silent, config, backbone_for(Silent)), SHAPES["few"])
