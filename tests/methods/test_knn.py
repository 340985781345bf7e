"""k-NN's votes, ties and memory."""

from dataclasses import replace

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from bench.testing.driver import adapted
from bench.testing.problems import problem
from methods import _pairs
from methods.knn import Knn, Neighbours


def vote(labels: list[int], k: int, n_way: int = 3) -> int:
    """The label elected at 0 by neighbours at 1, 2, 3, ... that bear ``labels``."""
    memory = Neighbours(1, 1, n_way, k)
    keys = torch.arange(1.0, len(labels) + 1).view(1, -1, 1)
    memory.observe(keys, torch.tensor(labels).view(1, -1, 1), torch.ones(1, len(labels), dtype=torch.bool))
    memory.solve()
    return int(memory.read(torch.zeros(1, 1, 1)))


@pytest.mark.parametrize(
    ("labels", "k", "elected"),
    [
        ([0, 1, 1, 0], 4, 0),
        ([1, 0, 0, 1], 4, 1),
        # Labels 0 and 1 tie; the nearest neighbour of all bears neither.
        ([2, 1, 0, 0, 1, 2, 2, 2, 2], 5, 1),
        ([0, 1, 1, 1], 3, 1),
        # One example per class: only the nearest votes, whatever k is.
        ([2, 0, 1], 10, 2),
        # Two at most per class: the third and fourth neighbour do not vote.
        ([1, 0, 2, 2], 10, 1),
    ],
)
def test_majority_wins_and_ties_go_to_the_nearer(labels: list[int], k: int, elected: int) -> None:
    assert vote(labels, k) == elected


@pytest.mark.parametrize("k", [1, 3, 8])
def test_agrees_with_scikit_learn_where_votes_are_not_tied(k: int) -> None:
    given = problem(n_shot=12, n_query=40, sizes=[48, 30, 48], key_dim=4)
    given = replace(given, support=replace(given.support, keys=given.support.keys + 0.1))
    method = adapted(Knn, given, items_at_once=7, k=k)
    recalled = method.recall(given.query)
    compared = 0
    for episode in range(given.shape.n_episodes):
        mask = given.support.mask[episode]
        keys, labels = given.support.keys[episode][mask].numpy(), given.support.labels[episode][mask].numpy()
        classifier = KNeighborsClassifier(n_neighbors=k, algorithm="brute").fit(keys, labels)
        shares = torch.from_numpy(classifier.predict_proba(given.query.keys[episode].numpy()))
        clear = (shares == shares.amax(dim=1, keepdim=True)).sum(dim=1) == 1
        elected = torch.from_numpy(classifier.classes_)[shares.argmax(dim=1)]
        torch.testing.assert_close(
            recalled[episode][clear], given.query.classes.class_embeddings[episode][elected][clear]
        )
        compared += int(clear.sum())
    assert compared > 300


def test_large_stores_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem(n_shot=10, n_query=10)
    method = adapted(Knn, given)
    expected = method.predict(given.query)
    seen: list[int] = []
    answer = Neighbours.answer

    def watched(self: Neighbours, keys: Tensor, allowed: Tensor) -> Tensor:
        seen.append(keys.shape[1])
        return answer(self, keys, allowed)

    monkeypatch.setattr(Neighbours, "answer", watched)
    monkeypatch.setattr(_pairs, "SCORES_AT_ONCE", 3 * 40 * 7)
    torch.testing.assert_close(method.predict(given.query), expected)
    assert seen == [7] * 5 + [5]


@pytest.mark.parametrize("prior_strength", [0.0, 4.0])
@pytest.mark.parametrize("sizes", [[0, 12, 5], [0, 0, 0]])
def test_an_episode_without_examples_answers_the_prior(sizes: list[int], prior_strength: float) -> None:
    given = problem(sizes=sizes, prior_strength=prior_strength)
    method = adapted(Knn, given)
    expected = method.backbone.class_logits(given.query.prior, given.query.classes)
    torch.testing.assert_close(method.predict(given.query)[0], expected[0])
