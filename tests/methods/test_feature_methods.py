"""Methods on features against independent references: scikit-learn, or the published iteration written out."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, one_hot

from bench.contracts import Limits, UsageError
from bench.testing.doubles import CosineBackbone
from bench.testing.driver import adapted
from bench.testing.problems import Problem, problem
from methods import proker
from methods._choice import chosen
from methods.clap import Clap
from methods.proker import BETAS, LAMS, START, Proker, ProkerConfig
from methods.taskres import TaskRes
from methods.zs_lp import ZsLp
from tests.methods.test_auto import brute_force

SHAPES = {
    "few": problem(n_shot=3, sizes=[12, 9, 12]),
    "many": problem(n_shot=15, sizes=[60, 47, 60], seed=1),
}
every_shape = pytest.mark.parametrize("given", SHAPES.values(), ids=SHAPES)


def class_logits(items: Any) -> Tensor:
    return CosineBackbone().class_logits(items.prior, items.classes)


def episode_of(given: Problem, episode: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Keys, labels, priors and class embeddings of an episode's support set in float64."""
    mask, support = given.support.mask[episode], given.support
    embeddings = support.classes.class_embeddings[episode].double()
    return (
        support.keys[episode][mask].double(),
        support.labels[episode][mask],
        support.prior[episode][mask].double(),
        embeddings,
    )


@every_shape
@pytest.mark.parametrize("prior", ["mix", "none"])
def test_proker_equals_kernel_ridge_of_scikit_learn_on_the_residual(given: Problem, prior: str) -> None:
    found = adapted(Proker, given, items_at_once=5, beta=2.0, lam=0.05, tau=3.0, prior=prior).predict(given.query)
    weight = 0.03 if prior == "mix" else 0.0
    for episode in range(3):
        keys, labels, _, _ = episode_of(given, episode)
        zero_shot = weight * class_logits(given.support)[episode][given.support.mask[episode]].double()
        ridge = KernelRidge(alpha=0.05, kernel="rbf", gamma=2.0).fit(keys, one_hot(labels, 4) - zero_shot)
        expected = weight * class_logits(given.query)[episode] + torch.from_numpy(
            ridge.predict(given.query.keys[episode].double())
        )
        torch.testing.assert_close(found[episode].double(), expected, rtol=1e-4, atol=1e-4)


def test_proker_s_penalty_goes_from_the_labels_to_zero_shot() -> None:
    given = SHAPES["few"]
    firm = adapted(Proker, given, beta=1.0, lam=1e6).predict(given.query)
    torch.testing.assert_close(100 * firm, class_logits(given.query), rtol=1e-3, atol=0.01)
    as_query = replace(
        given,
        query=replace(
            given.query, **{name: getattr(given.support, name) for name in ("keys", "prior", "mask", "inputs")}
        ),
    )
    free = adapted(Proker, as_query, beta=10.0, lam=1e-8).predict(as_query.query)
    target = one_hot(given.support.labels, 4).float()
    torch.testing.assert_close(free[given.support.mask], target[given.support.mask], rtol=0, atol=1e-3)


@every_shape
def test_proker_s_trials_equal_adapting_without_each_example(given: Problem) -> None:
    trials = Proker.leave_one_out(CosineBackbone(), given.shape, given.support)
    config = {"beta": 3.0, "lam": 0.01, "tau": 2.0}
    found = trials.scores(ProkerConfig(**config))
    expected = brute_force(Proker, given, **config)
    torch.testing.assert_close(found[trials.mask], expected[trials.mask], rtol=1e-3, atol=1e-4)
    assert not trials.serves(ProkerConfig(beta=1.0))


def test_proker_s_auto_is_the_best_when_each_example_is_left_out() -> None:
    given = SHAPES["few"]
    method = adapted(Proker, given)
    trials = Proker.leave_one_out(CosineBackbone(), given.shape, given.support)
    settings = [START, *((beta, lam) for beta in BETAS for lam in LAMS)]
    scores = [trials.scores(ProkerConfig(beta=beta, lam=lam)) for beta, lam in settings]
    best = torch.tensor([settings[place] for place in chosen(scores, trials.labels, trials.mask, "accuracy")])
    torch.testing.assert_close(method.pairs.beta, best[:, 0])
    assert method.notes == {
        "chosen_beta": float(best[:, 0].median()),
        "chosen_lam": pytest.approx(float(best[:, 1].median())),
    }


def test_proker_keeps_to_a_budget_and_refuses_a_system_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    given = SHAPES["many"]
    limit = 4 + 20 * (4 * 20 + 1)
    limited = replace(given, shape=replace(given.shape, limits=Limits(state_bytes=limit)))
    method = adapted(Proker, limited, items_at_once=7)
    assert method.state_bytes() == 3 * limit
    monkeypatch.setattr(proker, "MOST_ITEMS", 30)
    adapted(Proker, limited)
    with pytest.raises(UsageError, match="serves 30 support items at most, got 60; use fewer shots"):
        adapted(Proker, given)


def rate(epoch: int, lr: float, epochs: int) -> float:
    return lr * (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2 if epoch else 1e-5


def trained_vectors(start: Tensor, features: Tensor, labels: Tensor, method: str, epochs: int) -> Tensor:
    """Class vectors ``[way, dim]`` of one episode, trained by themselves as the published programs do."""
    start = 10 * normalize(start, dim=-1)
    x = torch.zeros_like(start, requires_grad=True)
    share, lr = (0.5, 2e-3) if method == "taskres" else (1.0, 0.1)
    optimizer: Any = torch.optim.Adam([x], weight_decay=5e-4) if method == "taskres" else torch.optim.SGD([x], lr, 0.9)
    target = one_hot(labels, 4).double()
    zero_shot = (100 * features @ normalize(start, dim=-1).mT).softmax(dim=-1)
    weights = (target * zero_shot).sum(dim=0) / target.sum(dim=0)
    rho = torch.zeros_like(weights)
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = rate(epoch, lr, epochs)
        loss = cross_entropy(100 * features @ normalize(start + share * x, dim=-1).mT, labels)
        if method.startswith("clap"):
            loss = loss + (weights * x.square().sum(dim=-1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if method == "clap adaptive":
            distances = x.detach().square().sum(dim=-1)
            weights, rho = weights + rho * distances, distances
    return normalize(start + share * x, dim=-1).detach()


VECTORS: dict[str, tuple[Any, dict[str, Any]]] = {
    "zs_lp": (ZsLp, {"epochs": 25}),
    "clap": (Clap, {"epochs": 25}),
    "clap adaptive": (Clap, {"epochs": 25, "constraint": "adaptive"}),
    "taskres": (TaskRes, {"epochs": 25}),
}
every_vectors = pytest.mark.parametrize("name", VECTORS)


@every_vectors
@pytest.mark.parametrize("prior", ["mix", "none"])
def test_class_vectors_equal_one_episode_by_itself(name: str, prior: str) -> None:
    given = SHAPES["few"]
    cls, config = VECTORS[name]
    found = adapted(cls, given, prior=prior, **config).predict(given.query).detach()
    for episode in range(3):
        keys, labels, features, start = episode_of(given, episode)
        query = given.query.prior[episode]
        if prior == "none":
            start, features, query = one_hot(labels, 4).double().mT @ keys, keys, given.query.keys[episode]
        vectors = trained_vectors(start, normalize(features, dim=-1), labels, name, 25)
        expected = 100 * normalize(query.double(), dim=-1) @ vectors.mT
        torch.testing.assert_close(found[episode].double(), expected, rtol=1e-3, atol=0.02)


@every_vectors
def test_class_vectors_start_at_zero_shot_and_stay_there_at_a_rate_of_nearly_0(name: str) -> None:
    given = SHAPES["few"]
    cls, config = VECTORS[name]
    found = adapted(cls, given, **config | {"lr": 1e-12, "epochs": 2}).predict(given.query).detach()
    torch.testing.assert_close(found, class_logits(given.query), rtol=1e-3, atol=0.05)


def test_clap_moves_further_where_zero_shot_is_wrong() -> None:
    given = problem(n_shot=1, sizes=None)
    labels = given.support.labels
    # Classes 0 and 1 have each other's priors; zero-shot answers are right for the other two.
    order = torch.stack(
        [
            torch.stack([(row == (label ^ 1 if label < 2 else label)).nonzero()[0, 0] for label in row.tolist()])
            for row in labels
        ]
    )
    prior = given.support.prior.gather(1, order.unsqueeze(-1).expand_as(given.support.prior))
    wrong = replace(given, support=replace(given.support, prior=prior))
    moved = adapted(Clap, wrong, epochs=50).trained.norm(dim=-1)
    assert (moved[:, :2].mean(dim=1) > 2 * moved[:, 2:].mean(dim=1)).all()
    free = adapted(ZsLp, wrong, epochs=50).trained.norm(dim=-1)
    assert (moved[:, 2:] < free[:, 2:]).all()


@every_vectors
def test_class_vectors_are_trained_in_minibatches_of_the_given_size(name: str) -> None:
    given = SHAPES["many"]
    cls, config = VECTORS[name]
    method = adapted(cls, given, **config | {"batch_size": 25, "epochs": 4})
    assert method.steps == 12
    whole = adapted(cls, given, **config | {"epochs": 4})
    assert not torch.allclose(method.classifier, whole.classifier, atol=1e-4)
