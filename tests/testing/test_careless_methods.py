"""The contract suite of methods catches what careless authors do with queries."""

import json

import pytest
import torch

from bench.testing.answers import Answers
from bench.testing.doubles import CosineBackbone
from bench.testing.method_contract import MethodContract
from bench.testing.problems import problem
from tests.contract_passed import PASSED, UPDATE, keys
from tests.outside.bench_outside.nearest_prototype import NearestPrototype


class Recency(NearestPrototype):
    """Prefers the class that it answered last: an advantage wherever queries are sorted by class."""

    def predict(self, query):
        scores = super().predict(query)
        for item in range(1, scores.shape[1]):
            scores[:, item] += 2 * scores[:, item - 1].softmax(dim=-1)
        return scores


class Online(NearestPrototype):
    """Learns from the queries that it has answered."""

    def predict(self, query):
        scores = super().predict(query)
        self.sums += torch.einsum("eiw,eid->ewd", scores.softmax(dim=-1), query.keys)
        return scores


class Balanced(NearestPrototype):
    """Answers each class equally often."""

    def predict(self, query):
        scores = super().predict(query)
        return scores - scores.mean(dim=1, keepdim=True)


class Declared(Balanced):
    """The same, and says so."""

    transductive = True


ORDER, EARLIER, OTHERS = (
    MethodContract.test_order_of_queries_changes_nothing,
    MethodContract.test_earlier_queries_change_nothing,
    MethodContract.test_queries_do_not_see_each_other,
)


@pytest.mark.parametrize(
    ("method", "caught_by"), [(Recency, ORDER), (Recency, OTHERS), (Online, EARLIER), (Balanced, OTHERS)]
)
def test_it_is_caught(method, caught_by):
    given = problem(n_shot=3, key_dim=16, sizes=[12, 9, 12])
    caught_by(MethodContract(), Answers(NearestPrototype, {}, CosineBackbone()), given)
    with pytest.raises(AssertionError):
        caught_by(MethodContract(), Answers(method, {}, CosineBackbone()), given)


def test_a_method_may_declare_itself_transductive():
    given = problem(n_shot=3, key_dim=16, sizes=[12, 9, 12])
    ORDER(MethodContract(), Answers(Declared, {}, CosineBackbone()), given)
    with pytest.raises(pytest.skip.Exception, match="transductive"):
        OTHERS(MethodContract(), Answers(Declared, {}, CosineBackbone()), given)


def test_the_list_of_methods_that_passed_is_of_the_present_code():
    assert json.loads(PASSED.read_text()) == keys(), f"methods or their contract suite changed; run {UPDATE}"
