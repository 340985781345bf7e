"""Baselines of scikit-learn against scikit-learn itself."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression as SklearnRegression
from sklearn.svm import SVC
from torch import Tensor
from torch.nn.functional import normalize

from bench import registry
from bench.contracts import Limits
from bench.testing.doubles import CosineBackbone
from bench.testing.driver import adapted
from bench.testing.problems import Problem, problem
from methods._choice import chosen
from methods._lbfgs import BatchedLBFGS
from methods.lda import SHRINKAGES, Lda, LdaConfig
from methods.logistic_regression import LogisticRegression
from methods.svm import Svm
from tests.helpers.items import support_of
from tests.helpers.left_out import brute_force

SHAPES = {
    "few": problem(n_shot=3, sizes=[12, 9, 12]),
    "many": problem(n_shot=15, sizes=[60, 47, 60], seed=1),
}
every_shape = pytest.mark.parametrize("given", SHAPES.values(), ids=SHAPES)


def decisions(model: Any, given: Problem, episode: int) -> Tensor:
    return torch.from_numpy(model.decision_function(given.query.keys[episode].double().numpy()))


@every_shape
@pytest.mark.parametrize("shrinkage", [1e-3, 0.3, 1.0])
def test_lda_equals_that_of_scikit_learn(given: Problem, shrinkage: float) -> None:
    found = adapted(Lda, given, items_at_once=5, shrinkage=shrinkage).predict(given.query)
    for episode in range(3):
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(*support_of(given, episode))
        torch.testing.assert_close(found[episode].double(), decisions(model, given, episode), rtol=1e-4, atol=1e-3)


@every_shape
def test_lda_s_shrinkage_is_that_of_ledoit_and_wolf_around_class_means(given: Problem) -> None:
    method = adapted(Lda, given, items_at_once=5)
    estimates = []
    for episode in range(3):
        keys, labels = support_of(given, episode)
        centred = keys.copy()
        for label in range(4):
            centred[labels == label] -= keys[labels == label].mean(axis=0)
        estimates.append(ledoit_wolf_shrinkage(centred, assume_centered=True))
    assert method.notes["chosen_shrinkage"] == pytest.approx(sorted(estimates)[1], rel=1e-6)


@pytest.mark.slow
@every_shape
@pytest.mark.parametrize("shrinkage", [1e-3, 0.3, 1.0])
def test_lda_s_trials_equal_adapting_without_each_example(given: Problem, shrinkage: float) -> None:
    trials = Lda.leave_one_out(CosineBackbone(), given.shape, given.support)
    found = trials.scores(LdaConfig(shrinkage=shrinkage))
    expected = brute_force(Lda, given, shrinkage=shrinkage)
    torch.testing.assert_close(found[trials.mask], expected[trials.mask], rtol=1e-3, atol=1e-3)
    assert not trials.serves(LdaConfig())


def test_lda_s_auto_is_the_likeliest_when_each_example_is_left_out() -> None:
    alone = problem(n_shot=4, n_episodes=1)
    found = adapted(Lda, alone, shrinkage="auto")
    estimate = adapted(Lda, alone).notes["chosen_shrinkage"]
    trials = Lda.leave_one_out(CosineBackbone(), alone.shape, alone.support)
    settings = [estimate, *SHRINKAGES]
    scores = [trials.scores(LdaConfig(shrinkage=each)) for each in settings]
    best = chosen(scores, trials.labels, trials.mask, "likelihood")
    assert found.notes["chosen_shrinkage"] == pytest.approx(settings[int(best)])


def test_lda_of_one_example_per_class_is_the_nearest_mean() -> None:
    given = problem(n_shot=1)
    found = adapted(Lda, given).predict(given.query)
    nearest = (given.query.keys @ given.support.keys.mT).argmax(dim=-1)
    assert torch.equal(found.argmax(dim=-1), given.support.labels.gather(1, nearest))


@pytest.mark.slow
@every_shape
@pytest.mark.parametrize("penalty", [0.1, 1.0, 1000.0])
def test_logistic_regression_equals_that_of_scikit_learn(given: Problem, penalty: float) -> None:
    found = adapted(LogisticRegression, given, C=penalty, steps=300, tolerance=1e-8).predict(given.query)
    for episode in range(3):
        model = SklearnRegression(C=penalty, tol=1e-10, max_iter=10_000).fit(*support_of(given, episode))
        expected = decisions(model, given, episode)
        # Equal numbers added to all logits of an item change no answer.
        ours = found[episode].double() - found[episode].double().mean(dim=-1, keepdim=True)
        torch.testing.assert_close(ours, expected - expected.mean(dim=-1, keepdim=True), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_logistic_regression_of_two_classes_equals_that_of_scikit_learn() -> None:
    given = problem(n_way=2, n_shot=5)
    found = adapted(LogisticRegression, given, steps=200, tolerance=1e-8).predict(given.query)
    for episode in range(3):
        model = SklearnRegression(tol=1e-10).fit(*support_of(given, episode))
        ours = (found[episode, :, 1] - found[episode, :, 0]).double()
        torch.testing.assert_close(ours, decisions(model, given, episode), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_logistic_regression_needs_some_ten_evaluations_at_the_default_penalty() -> None:
    given = SHAPES["few"]
    exact = adapted(LogisticRegression, given, steps=300, tolerance=1e-8).predict(given.query)
    torch.testing.assert_close(
        adapted(LogisticRegression, given, steps=15).predict(given.query), exact, rtol=0, atol=0.01
    )
    assert not torch.allclose(
        adapted(LogisticRegression, given, steps=2).predict(given.query), exact, rtol=0, atol=0.01
    )


@pytest.mark.slow
@pytest.mark.parametrize("start", [0.0, 30.0])
def test_batched_l_bfgs_finds_the_minima_of_unlike_problems(start: float) -> None:
    curvatures = torch.logspace(0, 4, 6, dtype=torch.float64) * torch.tensor([[1.0], [1e-3], [50.0]])
    point = torch.nn.Parameter(torch.full((3, 6), start, dtype=torch.float64))
    latest: list[Tensor] = []
    optimizer = BatchedLBFGS([point], lambda: latest[-1], tolerance=1e-10)
    for _ in range(150):
        optimizer.zero_grad()
        moved = point - 1
        latest.append((curvatures * moved.square() / 2 + 0.1 * moved.pow(4)).sum(dim=1))
        latest[-1].sum().backward()
        optimizer.step()
    optimizer.settle()
    torch.testing.assert_close(point.detach(), torch.ones_like(point.detach()), rtol=0, atol=1e-3)
    # No accepted point is worse than the one before: the last is the best.
    assert (latest[-1].detach() <= latest[0].detach() + 1e-12).all()


@every_shape
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_svm_is_that_of_scikit_learn(given: Problem, kernel: str) -> None:
    found = adapted(Svm, given, items_at_once=5, kernel=kernel, C=2.0)
    for episode in range(3):
        model = SVC(kernel=kernel, C=2.0, tol=1e-6).fit(*support_of(given, episode))
        scores = found.predict(given.query)[episode].double()
        torch.testing.assert_close(scores, decisions(model, given, episode), rtol=1e-2, atol=1e-2)
    assert found.state_bytes() > 0


def test_svm_takes_two_classes_one_class_and_none() -> None:
    given = problem(n_way=2, n_shot=5, sizes=[10, 1, 0])
    scores = adapted(Svm, given).predict(given.query)
    model = SVC(kernel="linear").fit(*support_of(given, 0))
    torch.testing.assert_close(
        (scores[0, :, 1] - scores[0, :, 0]).double() / 2, decisions(model, given, 0), rtol=1e-2, atol=1e-2
    )
    assert (scores[1].argmax(dim=-1) == given.support.labels[1, 0]).all()
    assert not scores[2].any()


def test_svm_keeps_to_a_budget_of_state() -> None:
    given = SHAPES["many"]
    limit = 20 * 8 * (16 + 3) + 8 * 6 + 4
    limited = replace(given, shape=replace(given.shape, limits=Limits(state_bytes=limit)))
    method = adapted(Svm, limited, C=1e-3)
    assert all(len(machine.support_vectors_) <= 20 for machine in method._machines)
    assert method.state_bytes() <= 3 * limit < adapted(Svm, given, C=1e-3).state_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("cls", "config"), [(Lda, {}), (LogisticRegression, {"steps": 30}), (Svm, {})])
def test_the_prior_s_weight_is_that_of_scores_of_items_left_out(cls: Any, config: dict[str, Any]) -> None:
    """A prior that is right adds to keys that say nothing; one that says nothing adds little to keys that are right."""
    given = problem(n_shot=8, n_query=20, seed=3, value_dim=24)

    def noise(items: Any, field: str) -> Any:
        values = getattr(items, field)
        random = torch.randn(values.shape, generator=torch.Generator().manual_seed(len(values[0])))
        return replace(items, **{field: normalize(random, dim=-1)})

    for field, sure, gain in (("keys", "prior", 0.3), ("prior", "keys", -0.1)):
        bad = replace(given, support=noise(given.support, field), query=noise(given.query, field))
        nearest = (getattr(given.query, sure) @ getattr(given.support, sure).mT).argmax(dim=-1)
        labels = given.support.labels.gather(1, nearest)
        method, without = adapted(cls, bad, prior="auto", **config), adapted(cls, bad, **config)
        right, before = (
            (each.predict(bad.query).argmax(dim=-1) == labels).float().mean() for each in (method, without)
        )
        assert right > before + gain, field
        assert "chosen_prior_weight" in method.notes


@pytest.mark.parametrize(
    "name", ["proker", "ape", "ape_t", "lda", "logistic_regression", "svm", "zs_lp", "taskres", "projector"]
)
def test_episodes_without_examples_have_finite_scores(name: str) -> None:
    given, cls = problem(sizes=[0, 12, 5]), registry.method_class(name)
    short = {field: 3 for field in ("steps", "epochs") if field in cls.Config.model_fields}
    assert adapted(cls, given, **short).predict(given.query).isfinite().all()  # type: ignore[type-var]
