"""Every method on a language model at each precision: near float32, alike at each instance, and scores not rounded."""

import pytest
import torch

from tests.helpers.precisions import FULL, PRECISIONS, all_scores, change

pytestmark = pytest.mark.slow
MOST = {"64-true": 2e-3, "bf16-mixed": 1.0, "bf16-true": 1.0, "16-true": 0.1}
"""Largest change of a score that is expected; scores are log-probabilities, and logits of methods on features."""
SHARES = {"64-true": 1e-5, "bf16-mixed": 0.1, "bf16-true": 0.1, "16-true": 0.02}
"""Largest change of a score as a share of the largest score, for LARGE."""
LARGE = {
    "ape_t": "100 times keys with a trained residual, in which Adam moves numbers of little gradient as far as others",
    "lda": "keys times an inverse covariance, which weighs most the directions in which keys differ least",
}
"""Methods with scores of 10^2, and why a change of the keys is a large change of their scores."""
VOTES = {"knn_prompting"}
"""Scores are numbers of votes plus fractions by rank, of which bfloat16 holds many exactly."""


@pytest.fixture(scope="module")
def found():
    return all_scores()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_scores_come_near_those_of_float32(found, precision):
    changes = {name: change(each.first, found[FULL][name].first) for name, each in found[precision].items()}
    assert len(changes) >= 25
    most = {name: SHARES[precision] * float(found[FULL][name].first.abs().max()) for name in LARGE}
    assert {name: each for name, each in changes.items() if not each <= most.get(name, MOST[precision])} == {}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", LARGE)
def test_large_scores_choose_the_same_classes(found, precision, name):
    classes = [found[each][name].first.argmax(dim=-1) for each in (FULL, precision)]
    assert torch.equal(*classes)


@pytest.mark.parametrize("precision", [FULL, *PRECISIONS])
def test_the_next_instance_of_a_method_answers_alike(found, precision):
    differing = [name for name, each in found[precision].items() if not torch.equal(each.first, each.second)]
    assert differing == []


@pytest.mark.parametrize("precision", PRECISIONS)
def test_scores_are_not_rounded_to_the_precision_of_weights(found, precision):
    rounded = [
        name
        for name, each in found[precision].items()
        if each.first.dtype != torch.float32
        or (name not in VOTES and torch.equal(each.first.bfloat16().float(), each.first))
    ]
    assert rounded == []
