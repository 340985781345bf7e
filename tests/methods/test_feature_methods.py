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
from methods import _ape, proker
from methods._choice import chosen
from methods._held_out import draws
from methods.ape import Ape
from methods.ape_t import ApeT
from methods.clap import Clap
from methods.projector import Projector
from methods.proker import BETAS, LAMS, START, Proker, ProkerConfig
from methods.taskres import TaskRes
from methods.tip_adapter import TipAdapter
from methods.zs_lp import ZsLp
from tests.helpers.left_out import brute_force, without

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


@pytest.mark.slow
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


def one_space(given: Problem) -> Problem:
    """The problem with keys in the space of the class embeddings, as CLIP has it."""
    support, query = (
        replace(items, keys=normalize(items.prior, dim=-1), prior=normalize(items.prior, dim=-1))
        for items in (given.support, given.query)
    )
    return replace(given, support=support, query=query, shape=replace(given.shape, key_dim=given.shape.value_dim))


def criterion(vectors: Tensor) -> Tensor:
    """J of each channel, from class vectors ``[way, dim]`` by loops over pairs."""
    pairs = [vectors[one] * vectors[other] for one in range(4) for other in range(4) if one != other]
    return -0.5 * torch.stack(pairs).mean(dim=0) + 0.5 * vectors.var(dim=0)


APE = {"alpha": 2.0, "beta": 3.0, "channels": 0.6}
SPACES = {"one space": one_space(SHAPES["few"]), "two spaces": SHAPES["few"]}
every_space = pytest.mark.parametrize("space", SPACES)


def class_vectors(given: Problem, episode: int, space: str) -> Tensor:
    keys, labels, _, embeddings = episode_of(given, episode)
    return normalize(embeddings if space == "one space" else one_hot(labels, 4).double().mT @ keys, dim=-1)


@every_space
def test_ape_equals_the_published_formula(space: str) -> None:
    given = SPACES[space]
    found = adapted(Ape, given, items_at_once=5, gamma=0.4, **APE).predict(given.query)
    for episode in range(3):
        keys, labels, _, _ = episode_of(given, episode)
        vectors, query, target = (
            class_vectors(given, episode, space),
            given.query.keys[episode].double(),
            one_hot(labels, 4).double(),
        )
        best = criterion(vectors).topk(round(0.6 * keys.shape[1])).indices
        vectors, keys, query = (normalize(each[:, best], dim=-1) for each in (vectors, keys, query))
        probabilities = (keys @ vectors.mT).softmax(dim=1)
        r = (target * torch.log2((target + 1e-6) / (probabilities + 1e-6))).sum(dim=1, keepdim=True)
        cached = torch.exp(-3.0 * (1 - query @ keys.mT)) @ (target * torch.exp(0.4 * r))
        expected = class_logits(given.query)[episode] + 2.0 * cached
        torch.testing.assert_close(found[episode].double(), expected, rtol=1e-4, atol=1e-3)


def test_ape_on_all_channels_with_equal_weights_is_tip_adapter() -> None:
    given = SPACES["one space"]
    found = adapted(Ape, given, channels=1.0, gamma=0.0, alpha=1.5, beta=2.0).predict(given.query)
    torch.testing.assert_close(found, adapted(TipAdapter, given, alpha=1.5, beta=2.0).predict(given.query))


def test_ape_s_settings_are_the_best_with_each_item_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ape, "GRID", {"alpha": (3.0, 30.0), "beta": (1.0, 20.0), "gamma": (1.0,)})
    given = one_space(problem(n_shot=3))
    method = adapted(Ape, given, items_at_once=5)
    settings = [(1.0, 0.1, 1.0), *((beta, 1.0, alpha) for beta in (1.0, 20.0) for alpha in (3.0, 30.0))]
    candidates = []
    for beta, gamma, alpha in settings:
        each = []
        for item in range(12):
            left = without(given, item)
            cached = adapted(Ape, left, alpha=alpha, beta=beta, gamma=gamma).predict(left.query) - class_logits(
                left.query
            )
            # The item's own class has two pairs of three.
            own = 1 + one_hot(given.support.labels[:, item : item + 1], 4) / 2
            each.append(class_logits(left.query)[:, item : item + 1] + own * cached[:, item : item + 1])
        candidates.append(torch.cat(each, dim=1))
    best = torch.tensor(settings)[chosen(candidates, given.support.labels, given.support.mask, "accuracy")]
    torch.testing.assert_close(torch.cat([method.cache.beta, method.alpha], dim=1)[..., 0], best[:, [0, 2]])


def test_ape_keeps_as_many_items_as_a_budget_has_room_for() -> None:
    given = SHAPES["many"]
    free = adapted(Ape, given).state_bytes() / 3
    limit = int(free / 2)
    method = adapted(Ape, replace(given, shape=replace(given.shape, limits=Limits(state_bytes=limit))), items_at_once=7)
    assert 0.95 * limit < method.state_bytes() / 3 <= limit


def trained_logits(keys: Tensor, labels: Tensor, prior: Tensor, best: Tensor, batch_size: int) -> Any:
    """APE-T's logits of items with zero-shot logits, after training on one episode as the published program does."""
    residual = torch.zeros(4, len(best), dtype=torch.float64, requires_grad=True)
    weights = torch.ones(12, 1, dtype=torch.float64, requires_grad=True)

    def logits(items: Tensor, zero_shot: Tensor) -> Tensor:
        whole = torch.zeros(4, keys.shape[1], dtype=torch.float64).index_add(1, best, residual)
        cached = torch.exp(-3.0 * (1 - items @ (keys + whole[labels]).mT)) @ (one_hot(labels, 4) * weights)
        return zero_shot + 100 * items @ whole.mT + 2.0 * cached

    optimizer = torch.optim.AdamW([residual, weights], lr=0.01, eps=1e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6 * -(-12 // batch_size))
    for _ in range(6):
        for part in torch.arange(12).split(batch_size):
            optimizer.zero_grad()
            cross_entropy(logits(keys[part], prior[part]), labels[part]).backward()
            optimizer.step()
            schedule.step()
    return logits


@pytest.mark.slow
@every_space
@pytest.mark.parametrize("batch_size", [256, 5])
def test_ape_t_equals_one_episode_by_itself(space: str, batch_size: int) -> None:
    given = one_space(problem(n_shot=3)) if space == "one space" else problem(n_shot=3)
    config = {"batch_size": batch_size, "lr": 0.01, "epochs": 6, **APE}
    found = adapted(ApeT, given, **config).predict(given.query).detach()
    for episode in range(3):
        order = draws(given.support, given.shape.seed)[episode].argsort()
        keys, labels, query = (
            given.support.keys[episode][order].double(),
            given.support.labels[episode][order],
            given.query.keys[episode].double(),
        )
        best = criterion(class_vectors(given, episode, space)).topk(round(0.6 * keys.shape[1])).indices
        prior = class_logits(given.support)[episode][order].double()
        logits = trained_logits(keys, labels, prior, best, batch_size)
        expected = logits(query, class_logits(given.query)[episode].double()).detach()
        torch.testing.assert_close(found[episode].double(), expected, rtol=1e-3, atol=0.01)


def test_ape_t_searches_by_items_that_a_copy_was_not_trained_on() -> None:
    given = problem(n_shot=3)
    method = adapted(ApeT, given, lr=0.01)
    assert set(method.notes) == {"chosen_alpha", "chosen_beta"}
    # What is searched afterwards has no part in the training.
    plain = adapted(ApeT, given, lr=0.01, alpha=1.0, beta=1.0)
    torch.testing.assert_close(method.residual, plain.residual)


def test_projector_equals_the_published_iteration_and_stays_at_zero_shot_under_a_large_penalty() -> None:
    given = one_space(SHAPES["few"])
    method = adapted(Projector, given, lr=1e-3, steps=30)
    found = method.predict(given.query).detach()
    for episode in range(3):
        keys, labels, _, embeddings = episode_of(given, episode)
        embeddings = normalize(embeddings, dim=-1)
        weight = torch.eye(12, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([weight], lr=1e-3, eps=1e-4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30)
        for _ in range(30):
            distance = (weight - torch.eye(12)).square().sum()
            loss = cross_entropy(100 * normalize(keys @ weight.mT, dim=-1) @ embeddings.mT, labels)
            optimizer.zero_grad()
            (loss + distance / (len(keys) / 4)).backward()
            optimizer.step()
            schedule.step()
        query = given.query.keys[episode].double()
        expected = 100 * normalize(query @ weight.mT, dim=-1) @ embeddings.mT
        torch.testing.assert_close(found[episode].double(), expected.detach(), rtol=1e-3, atol=0.02)
    assert method.notes["penalty"] == pytest.approx(1 / 3)
    firm = adapted(Projector, given, penalty=1e9, lr=1e-3, steps=30).predict(given.query).detach()
    torch.testing.assert_close(firm, class_logits(given.query), rtol=1e-2, atol=0.3)
