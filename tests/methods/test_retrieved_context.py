"""Retrieved demonstrations: similarity of words and states, order, budgets, calibration."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bench.contracts import Limits, UsageError
from bench.testing.doubles import FakeLanguageModel
from bench.testing.driver import adapted
from bench.testing.items import columns
from bench.testing.problems import Problem, problem, prompts
from methods._bm25 import Bm25, words
from methods.in_context import InContext
from methods.retrieved_context import RetrievedContext

SEPARATOR = "\n\n"
PAIRS = [(one, other) for one in ("cat", "Dog", "old", "new") for other in ("sat", "ran", "Dog", "x", "y")]
TEXTS = [f"the {one} {other} of the {one}" + " and so on" * (n % 3) for n, (one, other) in enumerate(PAIRS)]


def test_bm25_is_the_formula() -> None:
    index, found = Bm25(TEXTS), []
    query = "The old dog and the old cat nowhere"
    lengths = [len(text.split()) for text in TEXTS]
    for text in TEXTS:
        own, total = text.lower().split(), 0.0
        for word in query.lower().split():
            df = sum(word in other.lower().split() for other in TEXTS)
            tf = own.count(word)
            norm = 1 - 0.75 + 0.75 * len(own) / (sum(lengths) / 20)
            total += math.log(1 + (20 - df + 0.5) / (df + 0.5)) * tf * 2.5 / (tf + 1.5 * norm)
        found.append(total)
    assert len(TEXTS) == 20
    np.testing.assert_allclose(index.scores(query), found, rtol=1e-12)
    assert not index.scores("nowhere").any()


def test_bm25_is_that_of_a_library() -> None:
    library = pytest.importorskip("bm25s", reason="one of the development tools")
    theirs = library.BM25(method="lucene", k1=1.5, b=0.75, dtype="float64")
    theirs.index([words(text) for text in TEXTS], show_progress=False)
    for query in (TEXTS[3], "The old dog and the old cat nowhere", "y"):
        # Lucene leaves out the factor k1 + 1, which changes no order.
        expected = (1.5 + 1) * theirs.get_scores(words(query))
        np.testing.assert_allclose(Bm25(TEXTS).scores(query), expected, rtol=1e-6)


@pytest.fixture
def given() -> Problem:
    return problem(n_episodes=1, n_way=3, n_shot=4)


def as_query(given: Problem, items: slice) -> Any:
    """Support items as queries."""
    part = columns(given.support, items)
    return replace(given.query, keys=part.keys, prior=part.prior, mask=part.mask, inputs=part.inputs)


@pytest.mark.parametrize("similarity", ["bm25", "embedding"])
def test_a_query_of_the_support_set_stands_last_before_itself(given: Problem, similarity: str) -> None:
    model = FakeLanguageModel()
    method = adapted(RetrievedContext, given, model, similarity=similarity, m=3)
    texts = prompts(given.support.inputs.positions[0])
    found = list(method.nearest(texts))
    assert [order[-1] for order in found] == list(range(12))
    assert all(len(set(order)) == 3 for order in found)
    if similarity == "embedding":
        keys = model.encode(texts).keys
        assert found == (keys @ keys.T).argsort(dim=1)[:, -3:].tolist()
    assert all(item not in order for item, order in enumerate(method.nearest(texts, without=range(12))))


def test_random_is_in_context_with_the_last_demonstrations(given: Problem) -> None:
    whole = FakeLanguageModel()
    expected = adapted(InContext, given, whole).predict(given.query)
    found = adapted(RetrievedContext, given, FakeLanguageModel(), similarity="random", m=12).predict(given.query)
    assert torch.equal(found, expected)
    five = adapted(RetrievedContext, given, FakeLanguageModel(), similarity="random", m=5)
    contexts = five._contexts(prompts(given.query.inputs.positions[0]), given.query.classes.names[0])
    assert {SEPARATOR.join(whole.contexts[-1].split(SEPARATOR)[-6:])} == set(contexts)


def test_each_class_is_there_if_wanted_and_the_farthest_are_cut_first(given: Problem) -> None:
    texts = prompts(given.query.inputs.positions[0])
    plain = adapted(RetrievedContext, given, FakeLanguageModel(), m=4)
    classes = adapted(RetrievedContext, given, FakeLanguageModel(), m=4, per_class=1)
    labels = given.support.labels[0]
    for few, all_ in zip(plain.nearest(texts), classes.nearest(texts), strict=True):
        assert {int(labels[item]) for item in all_} == {0, 1, 2}
        assert few[-1] == all_[-1]
    each = max(plain._given.tokens)
    cut = replace(given, shape=replace(given.shape, limits=Limits(tokens=2 * each + 1)))
    held = adapted(RetrievedContext, cut, FakeLanguageModel(), m=4)
    contexts = held._contexts(texts, given.query.classes.names[0])
    assert contexts == ["".join(plain._given.texts[item] for item in order[-2:]) for order in plain.nearest(texts)]
    assert held.context_tokens() <= 2 * each + 1
    stored = replace(given, shape=replace(given.shape, limits=Limits(state_bytes=200)))
    for similarity in ("bm25", "embedding"):
        assert 0 < adapted(RetrievedContext, stored, FakeLanguageModel(), similarity=similarity).state_bytes() <= 200


def with_content_free(given: Problem) -> Problem:
    return replace(given, shape=replace(given.shape, content_free=("Word: N/A\nLabel:", "Word: \nLabel:")))


class Leaning(FakeLanguageModel):
    def loglikelihood(self, context: str, prompts: Any, answers: Any) -> torch.Tensor:
        return super().loglikelihood(context, prompts, answers) + torch.tensor([5.0, -3.0, 0.0])


@pytest.mark.parametrize("calibrate", ["none", "content_free", "support", "pmi"])
def test_calibration_takes_a_leaning_off(given: Problem, calibrate: str) -> None:
    found, expected = (
        adapted(RetrievedContext, with_content_free(given), model, calibrate=calibrate).predict(given.query)
        for model in (Leaning(), FakeLanguageModel())
    )
    assert (len(set(found.argmax(dim=-1).flatten().tolist())) == 1) == (calibrate == "none")
    if calibrate == "pmi":
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_pmi_divides_by_the_probability_after_the_end_of_the_prompt(given: Problem) -> None:
    one, model = with_content_free(given), FakeLanguageModel()
    found = adapted(InContext, one, model, calibrate="pmi").predict(one.query)
    plain = adapted(InContext, one, model).predict(one.query)
    names = one.query.classes.names[0]
    expected = plain - FakeLanguageModel().loglikelihood("", ["\nLabel:"], names)
    torch.testing.assert_close(found.log_softmax(dim=-1), expected.log_softmax(dim=-1), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_retrieved_is_an_error(given: Problem) -> None:
    with pytest.raises(UsageError, match=r"m must be at least per_class times 3 classes, 6; got 4; raise m"):
        adapted(RetrievedContext, given, FakeLanguageModel(), per_class=2)
    ends = replace(given, shape=replace(given.shape, content_free=("Word: N/A", "Word: ")))
    with pytest.raises(UsageError, match="pmi needs a prompt that goes on after the text"):
        adapted(RetrievedContext, ends, FakeLanguageModel(), calibrate="pmi")
