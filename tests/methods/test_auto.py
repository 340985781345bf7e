"""What FAAST and ridge find out by leaving examples out: in closed form, and against adapting without them."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bench.testing.doubles import CosineBackbone, backbone_for
from bench.testing.driver import adapted
from bench.testing.problems import problem
from methods._choice import SHARPNESS
from methods._faast_features import ALPHAS, PRIOR_STRENGTHS, FaastOnFeatures, FaastOnFeaturesConfig
from methods._fast_weights import ALPHA
from methods.ridge import RidgeOnFeatures, RidgeOnFeaturesConfig
from tests.helpers.left_out import brute_force

SIZES = {"dual": 3, "primal": 15}


@pytest.mark.slow
@pytest.mark.parametrize("n_shot", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("prior_strength", [0.0, 4.0, 100.0])
def test_faast_s_trials_equal_adapting_without_each_example(n_shot: int, prior_strength: float) -> None:
    given = problem(n_shot=n_shot, sizes=[4 * n_shot, 4 * n_shot - 1, 4 * n_shot])
    trials = FaastOnFeatures.leave_one_out(backbone_for(FaastOnFeatures), given.shape, given.support)
    # No direction is cut off at this exponent, so that the others alone keep the same ones.
    found = trials.scores(FaastOnFeaturesConfig(alpha=4.0, prior_strength=prior_strength))
    expected = brute_force(FaastOnFeatures, given, alpha=4.0, prior_strength=prior_strength)
    torch.testing.assert_close(found[trials.mask], expected[trials.mask], rtol=1e-4, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("n_shot", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("lam", [1e-4, 1.0])
def test_ridge_s_trials_equal_adapting_without_each_example(n_shot: int, lam: float) -> None:
    given = problem(n_shot=n_shot, sizes=[4 * n_shot, 4 * n_shot - 1, 4 * n_shot])
    trials = RidgeOnFeatures.leave_one_out(backbone_for(RidgeOnFeatures), given.shape, given.support)
    found = trials.scores(RidgeOnFeaturesConfig(lam=lam))
    torch.testing.assert_close(
        found[trials.mask], brute_force(RidgeOnFeatures, given, lam=lam)[trials.mask], rtol=1e-4, atol=1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize("n_shot", SIZES.values(), ids=SIZES)
def test_auto_is_the_likeliest_when_each_example_is_left_out(n_shot: int) -> None:
    given = problem(n_shot=n_shot)
    trials = FaastOnFeatures.leave_one_out(backbone_for(FaastOnFeatures), given.shape, given.support)

    def likelihood(alpha: float, prior_strength: float) -> Tensor:
        scores = trials.scores(FaastOnFeaturesConfig(alpha=alpha, prior_strength=prior_strength)).double()
        found = [
            (sharpness * scores).log_softmax(dim=-1).gather(-1, trials.labels.unsqueeze(-1)).sum(dim=(1, 2))
            for sharpness in SHARPNESS
        ]
        return torch.stack(found).max(dim=0).values

    grid = [(alpha, prior_strength) for alpha in ALPHAS for prior_strength in PRIOR_STRENGTHS]
    best = torch.stack([likelihood(*each) for each in grid]).argmax(dim=0)
    method = adapted(FaastOnFeatures, given, alpha="auto", prior_strength="auto")
    expected = torch.tensor(grid)[best]
    torch.testing.assert_close(method.memory.alpha, expected[:, 0].double())
    torch.testing.assert_close(method.prior_strength, expected[:, 1])
    assert set(method.notes) == {"chosen_alpha", "chosen_prior_strength"}


@pytest.mark.slow
def test_auto_does_not_depend_on_how_sure_a_backbone_makes_its_answers() -> None:
    given = problem(n_shot=5)
    # Half of the labels are wrong, so that no answer can be too unsure.
    labels = given.support.labels.clone()
    labels[:, ::2] = labels[:, ::2].roll(1, dims=1)
    given = replace(given, support=replace(given.support, labels=labels))
    chosen = [
        adapted(FaastOnFeatures, given, CosineBackbone(scale=scale), alpha="auto", prior_strength="auto")
        for scale in (10.0, 100.0)
    ]
    torch.testing.assert_close(chosen[0].memory.alpha, chosen[1].memory.alpha)
    torch.testing.assert_close(chosen[0].prior_strength, chosen[1].prior_strength)


def test_auto_answers_as_its_choice_given_by_hand() -> None:
    given = problem(n_shot=3, n_episodes=1)
    chosen = adapted(FaastOnFeatures, given, alpha="auto", prior_strength="auto")
    by_hand = adapted(
        FaastOnFeatures, given, alpha=chosen.notes["chosen_alpha"], prior_strength=chosen.notes["chosen_prior_strength"]
    )
    torch.testing.assert_close(chosen.predict(given.query), by_hand.predict(given.query))


@pytest.mark.slow
@pytest.mark.parametrize("n_shot", SIZES.values(), ids=SIZES)
def test_auto_does_not_depend_on_batches_and_padding(n_shot: int) -> None:
    given = problem(n_shot=n_shot, sizes=[4 * n_shot, 4 * n_shot - 3, 2])
    expected = adapted(FaastOnFeatures, given, alpha="auto", prior_strength="auto").predict(given.query)
    found = adapted(FaastOnFeatures, given, items_at_once=5, alpha="auto", prior_strength="auto").predict(given.query)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


def test_at_one_shot_auto_keeps_the_defaults() -> None:
    given = problem(n_shot=1, prior_strength=7.0)
    labels = torch.arange(4).expand(3, -1).contiguous()
    given = replace(given, support=replace(given.support, labels=labels))
    method = adapted(FaastOnFeatures, given, alpha="auto", prior_strength="auto")
    assert method.prior_strength.tolist() == [7.0] * 3
    assert method.memory.alpha.tolist() == [ALPHA] * 3


def test_auto_of_one_alone_leaves_the_other_as_given() -> None:
    given = problem(prior_strength=7.0)
    assert adapted(FaastOnFeatures, given, alpha="auto").prior_strength == 7.0
    assert adapted(FaastOnFeatures, given, prior_strength="auto", alpha=1.1).memory.alpha == 1.1


def test_trials_say_which_configs_they_serve() -> None:
    given = problem()
    trials = FaastOnFeatures.leave_one_out(backbone_for(FaastOnFeatures), given.shape, given.support)
    assert trials.serves(FaastOnFeaturesConfig())
    for config in (
        FaastOnFeaturesConfig(alpha="auto"),
        FaastOnFeaturesConfig(prior_strength="auto"),
        FaastOnFeaturesConfig(solver="pinv"),
    ):
        assert not trials.serves(config)
        with pytest.raises(ValueError, match="needs numbers and the exact solver"):
            trials.scores(config)
