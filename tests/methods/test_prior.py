"""The zero-shot prior beside classifiers: its formula, its default weight, and its choice by items left out."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.contracts import UsageError
from bench.contracts.validation import validated
from bench.testing.doubles import CosineBackbone
from bench.testing.driver import adapted, scores
from bench.testing.items import masked
from bench.testing.problems import Problem, problem
from methods._choice import SHARPNESS, chosen, log_likelihoods
from methods._held_out import draws, rank_in_class
from methods._prior import PriorTerm
from methods._prior_strength import PRIOR_STRENGTHS
from methods.knn import Knn
from methods.linear_probe import LinearProbe
from methods.nearest_mean import NearestMean
from methods.ridge import RidgeOnFeatures
from methods.softmax_memory import SoftmaxOnFeatures

CLASSIFIERS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "linear_probe": (LinearProbe, {"steps": 20}),
    "nearest_mean": (NearestMean, {}),
    "centred": (NearestMean, {"centre": True}),
    "ridge": (RidgeOnFeatures, {}),
    "random_features": (RidgeOnFeatures, {"random_features": 40}),
}
every_classifier = pytest.mark.parametrize(("cls", "config"), CLASSIFIERS.values(), ids=CLASSIFIERS)
SIZES = [12, 7, 12]


def zero_shot(given: Problem) -> Tensor:
    return CosineBackbone().class_logits(given.query.prior, given.query.classes)


def without_signal(given: Problem, field: str) -> Problem:
    """The problem with keys or priors that have nothing to do with labels."""
    rng = torch.Generator().manual_seed(5)

    def noise(like: Tensor) -> Tensor:
        return torch.nn.functional.normalize(torch.randn(like.shape, generator=rng), dim=-1)

    support = replace(given.support, **{field: noise(getattr(given.support, field))})
    return replace(given, support=support, query=replace(given.query, **{field: noise(getattr(given.query, field))}))


@every_classifier
def test_mix_adds_the_zero_shot_logits_so_weighted(cls: Any, config: dict[str, Any]) -> None:
    given = problem(sizes=SIZES)
    alone = scores(cls, given, **config)
    found = scores(cls, given, items_at_once=5, prior="mix", prior_weight=0.7, **config)
    torch.testing.assert_close(found, alone + 0.7 * zero_shot(given), rtol=1e-4, atol=1e-4)


@every_classifier
def test_the_default_weight_is_the_prior_s_share_at_equal_spread(cls: Any, config: dict[str, Any]) -> None:
    given = problem(prior_strength=6.0)
    method = adapted(cls, given, prior="mix", **config)
    on_support = replace(given, query=replace(given.query, **{
        name: getattr(given.support, name) for name in ("keys", "prior", "mask", "inputs")
    }))  # fmt: skip
    own, prior = scores(cls, on_support, **config), zero_shot(on_support)
    spread = [each.sub(each.mean(-1, keepdim=True)).square().mean(dim=(1, 2)).sqrt() for each in (own, prior)]
    expected = 6 / 12 * spread[0] / spread[1]
    torch.testing.assert_close(method.prior_term.weight.flatten(), expected, rtol=1e-4, atol=1e-7)


@every_classifier
def test_auto_leaves_a_prior_out_that_says_nothing_and_takes_one_that_does(cls: Any, config: dict[str, Any]) -> None:
    useless = without_signal(problem(n_shot=10, prior_strength=0.0, n_query=20), "prior")
    alone, found = (scores(cls, useless, prior=prior, **config).argmax(dim=-1) for prior in ("none", "auto"))
    # By chance such a prior may be of some use on a support set: its weight is then small.
    assert (alone == found).float().mean() > 0.95
    useful = without_signal(problem(n_shot=10, prior_strength=0.0, n_query=20), "keys")
    method = adapted(cls, useful, prior="auto", **config)
    assert (method.prior_term.weight > 0).all()
    assert method.notes["chosen_prior_weight"] > 0
    target = zero_shot(useful).argmax(dim=-1)
    agreement = (method.predict(useful.query).argmax(dim=-1) == target).float().mean()
    assert agreement > (scores(cls, useful, **config).argmax(dim=-1) == target).float().mean() + 0.3


@every_classifier
def test_with_one_example_per_class_auto_keeps_the_default_weight(cls: Any, config: dict[str, Any]) -> None:
    given = problem(n_shot=1)
    auto, mix = (adapted(cls, given, prior=prior, **config).prior_term.weight for prior in ("auto", "mix"))
    assert torch.equal(auto, mix)
    assert (mix > 0).all()


def left_out_scores(cls: Any, given: Problem, monkeypatch: pytest.MonkeyPatch, **config: Any) -> tuple[Any, ...]:
    """What the weight was chosen by: the sample, its scores by classifiers without each item, and where these count."""
    seen: list[Any] = []
    monkeypatch.setattr(PriorTerm, "fit", lambda self, *arguments: seen.append(arguments))
    adapted(cls, given, prior="auto", **config)
    (arguments,) = seen
    return arguments[1], arguments[5], arguments[6]


def test_nearest_mean_and_ridge_are_scored_without_each_item(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem(sizes=SIZES)
    for cls, config in ((NearestMean, {}), (RidgeOnFeatures, {"lam": 0.1})):
        sample, found, mask = left_out_scores(cls, given, monkeypatch, **config)
        for item in range(12):
            others = given.support.mask & (given.support.keys != sample.keys[:, item : item + 1]).any(dim=-1)
            query = replace(given.query, keys=sample.keys, prior=sample.prior, mask=sample.mask)
            left = replace(given, support=masked(given.support, others), query=query)
            expected, counts = scores(cls, left, **config)[:, item], mask[:, item]
            torch.testing.assert_close(found[counts, item], expected[counts], rtol=1e-4, atol=1e-5)
        assert mask.any(dim=1).all()


def test_probes_are_scored_without_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem(n_shot=7, sizes=[28, 20, 28])
    _, found, mask = left_out_scores(LinearProbe, given, monkeypatch, steps=20)
    fold = rank_in_class(draws(given.support, 0), given.support.labels, given.support.mask, 4) % 5
    for number in range(5):
        others = given.support.mask & (fold != number)
        query = replace(given.query, keys=given.support.keys, prior=given.support.prior, mask=given.support.mask)
        expected = scores(LinearProbe, replace(given, support=masked(given.support, others), query=query), steps=20)
        place = mask & (fold == number)
        torch.testing.assert_close(found[place], expected[place], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("cls", [Knn, SoftmaxOnFeatures])
def test_the_prior_strength_is_chosen_by_answers_without_each_item(cls: Any) -> None:
    given = problem(n_shot=4, sizes=[16, 9, 16], prior_strength=6.0)
    strengths = (6.0, *PRIOR_STRENGTHS)
    candidates = [torch.zeros(3, 16, 4) for _ in strengths]
    for item in range(16):
        mask = given.support.mask.clone()
        mask[:, item] = False
        fields = {name: getattr(given.support, name)[:, item : item + 1] for name in ("keys", "prior", "mask")}
        left = replace(given, support=masked(given.support, mask), query=replace(given.query, **fields))
        for found, strength in zip(candidates, strengths, strict=True):
            found[:, item : item + 1] = scores(cls, left, prior_strength=strength)
    sizes = torch.nn.functional.one_hot(given.support.labels, 4).mul(given.support.mask.unsqueeze(-1)).sum(dim=1)
    counts = given.support.mask & (sizes.gather(1, given.support.labels) > 1)
    best = chosen(candidates, given.support.labels, counts, "likelihood")
    method = adapted(cls, given, items_at_once=5)
    torch.testing.assert_close(method.prior_strength, torch.tensor(strengths)[best])
    assert method.notes["chosen_prior_strength"] == pytest.approx(float(method.prior_strength.median()))


@pytest.mark.parametrize("cls", [Knn, SoftmaxOnFeatures])
def test_a_prior_strength_can_be_fixed_and_stays_at_one_shot(cls: Any) -> None:
    given = problem(n_shot=1)
    expected = scores(cls, given, prior_strength=None)
    torch.testing.assert_close(scores(cls, given), expected)
    torch.testing.assert_close(scores(cls, given, prior_strength=given.shape.prior_strength), expected)
    noise = without_signal(problem(n_shot=10, n_query=20, prior_strength=100.0), "prior")
    assert (adapted(cls, noise).prior_strength < 100.0).all()


def test_a_weight_without_mix_is_an_error_that_says_so() -> None:
    with pytest.raises(UsageError, match=r"ridge: prior_weight: a weight needs prior=mix, .* got 2.0"):
        validated(RidgeOnFeatures.Config, {"prior_weight": 2.0}, "ridge")


def test_without_a_prior_there_is_no_state_of_one() -> None:
    given = problem()
    for cls, config in CLASSIFIERS.values():
        without, with_prior = adapted(cls, given, **config), adapted(cls, given, prior="auto", **config)
        assert with_prior.state_bytes() - without.state_bytes() == 4 * given.shape.n_episodes


def test_likelihoods_are_those_of_a_plain_loop() -> None:
    rng = torch.Generator().manual_seed(0)
    found = torch.randn(2, 6, 3, generator=rng)
    labels, mask = torch.randint(3, (2, 6), generator=rng), torch.ones(2, 6, dtype=torch.bool)
    mask[1, 4:] = False
    for episode in range(2):
        kept = mask[episode]
        each = [(s * found[episode].double()).log_softmax(-1)[range(6), labels[episode]] for s in SHARPNESS]
        best = max(each, key=lambda one: float(one[kept].sum()))
        torch.testing.assert_close(log_likelihoods(found, labels, mask)[episode][kept], best[kept])


def test_the_default_stays_unless_another_is_better_by_more_than_a_standard_error() -> None:
    labels, mask = torch.zeros(3, 8, dtype=torch.long), torch.ones(3, 8, dtype=torch.bool)
    mask[2] = False

    def right(count: int) -> Tensor:
        answers = torch.tensor([1.0, 0.0]).repeat(3, 8, 1)
        answers[:, count:] = torch.tensor([0.0, 1.0])
        return answers

    half, nearly, most = right(4), right(5), right(8)
    assert chosen([half, nearly], labels, mask, "accuracy").tolist() == [0, 0, 0]
    assert chosen([half, nearly, most], labels, mask, "accuracy").tolist() == [2, 2, 0]
    # Equally right, and surer of it: that is no reason to leave the default.
    assert chosen([most, 2 * most], labels, mask, "accuracy").tolist() == [0, 0, 0]
    assert chosen([half, most], labels, mask, "likelihood").tolist() == [1, 1, 0]
