"""Tasks of Ba et al. 2016: recall of random vectors with the capacity law of a Hebbian sum, associative retrieval."""

import re

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from bench import registry
from bench.contracts import TaskData, UsageError
from bench.data.episodes import EpisodeSpec, draw_episodes
from methods._fast_weights import FastWeights
from methods._hebbian_memory import HebbianMemory
from tasks.recall import DIM, NOISE, QUERIES, WAYS, hebbian_accuracy


def load(name: str) -> TaskData:
    return registry.make_task(name).load(None)


@pytest.mark.parametrize(
    ("dim", "pairs", "accuracy"),
    [
        (64, 64, 0.985), (64, 128, 0.844), (64, 256, 0.597), (64, 512, 0.390), (64, 1024, 0.259),
        (128, 256, 0.837), (128, 1024, 0.391), (576, 512, 0.986), (576, 1024, 0.867),
    ],
)  # fmt: skip
def test_the_capacity_law_has_the_values_of_its_integral(dim: int, pairs: int, accuracy: float) -> None:
    assert hebbian_accuracy(pairs, dim, 16) == pytest.approx(accuracy, abs=1e-3)


def drawn(pairs: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Keys, one-hot values, queries and the queries' labels of 20 episodes that store all pairs."""
    data = load(f"recall:{pairs}")
    episodes = draw_episodes(data, EpisodeSpec("recall", 0, 20, pairs // WAYS, QUERIES, WAYS))
    support, query = (torch.from_numpy(np.stack(pool.inputs[:]["input"])) for pool in (data.support, data.query))
    labels, wanted = map(torch.from_numpy, (episodes.support_labels, episodes.query_labels))
    return support[episodes.support], one_hot(labels, WAYS).float(), query[episodes.query], wanted


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [32, 128, 512])
def test_memories_recall_random_pairs_as_far_as_they_can(pairs: int) -> None:
    keys, values, queries, wanted = drawn(pairs)
    mask = torch.ones(keys.shape[:2], dtype=torch.bool)

    def accuracy(answers: Tensor) -> float:
        return float((answers.argmax(dim=-1) == wanted).float().mean())

    found = {}
    for name, memory in (
        ("hebbian", HebbianMemory(len(keys), DIM, WAYS, 1.0)),
        ("faast", FastWeights(len(keys), DIM, WAYS, n_items=pairs)),
    ):
        memory.observe(keys, values, mask)
        memory.solve()
        found[name] = accuracy(memory.read(queries))
    assert found["hebbian"] == pytest.approx(hebbian_accuracy(pairs, DIM, WAYS, NOISE), abs=0.03)
    # A least-squares map is exact for as many keys as they have numbers, and better than the sum beyond.
    assert found["faast"] > (0.99 if pairs <= DIM else found["hebbian"])
    assert accuracy((100 * queries @ keys.mT).softmax(dim=-1) @ values) > 0.99


def test_the_expected_accuracy_is_in_the_notes_and_pools_are_as_large_as_the_pairs() -> None:
    data = load("recall:256")
    assert registry.task_name("recall:256") == "recall"
    assert "with 16 shots all 256 pairs" in data.notes[0]
    assert f"recall {hebbian_accuracy(256, DIM, WAYS, NOISE):.1%}, chance is 6.2%" in data.notes[0]
    assert np.bincount(data.support.labels).tolist() == [16] * 160
    assert np.bincount(load("recall:8192").support.labels).tolist() == [512] * 16


@pytest.mark.parametrize("pairs", ["0", "40", "-16", "many", "", "16.0", "9" * 30])
def test_other_numbers_of_pairs_are_refused(pairs: str) -> None:
    with pytest.raises(UsageError, match=r"recall needs a multiple of 16 pairs up to 1,048,576, such as"):
        registry.make_task(f"recall:{pairs}")


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [4, 8, 16])
def test_a_prompt_has_its_answer_beside_the_letter_and_naming_any_digit_is_seldom_right(pairs: int) -> None:
    data = load(f"associative_retrieval:{pairs}")
    right = []
    for pool in (data.support, data.query):
        assert len(pool.labels) == 2000
        for prompt, label in zip(pool.inputs["input"], pool.labels, strict=True):
            assert re.fullmatch(rf"([a-z] \d ){{{pairs}}}\? \? [a-z]", prompt)
            *symbols, _, _, letter = prompt.split(" ")
            shown = dict(zip(symbols[::2], symbols[1::2], strict=True))
            assert len(shown) == pairs
            assert data.classes[label] == f" {shown[letter]}"
            right.append(symbols[1::2].count(shown[letter]) / pairs)
    # The pair itself, or another one with the same digit.
    assert np.mean(right) == pytest.approx(1 / pairs + (1 - 1 / pairs) / 10, abs=0.015)
    assert f"is right {np.mean(right[2000:]):.1%} of the time" in data.notes[0]
