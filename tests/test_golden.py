"""The associative methods against outputs of the published FAAST implementation (float32, CPU)."""

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from bench.contracts import AnyMethod, AssociativeMethod, Classes, Inputs, ProblemShape, Query, Support
from bench.testing.doubles import CosineBackbone
from bench.testing.driver import adapted
from bench.testing.problems import Problem, prompts
from methods._faast_features import FaastOnFeatures
from methods.knn import Knn
from methods.linear_attention import LinearAttention
from methods.softmax_memory import SoftmaxOnFeatures
from tests.helpers.golden import cases

CASES = cases("vision")
TOLERANCE = 1e-4


def golden(case: str) -> tuple[dict[str, Tensor], Problem]:
    """A case's tensors, and the same as one episode."""
    facts, folder, name = CASES[case]
    tensors = load_file(folder / f"{name}.safetensors")
    keys, queries = tensors["support_keys"][None], tensors["query_keys"][None]
    labels = tensors["support_labels"].long()[None]
    names = tuple(f"class {label}" for label in range(facts["n_classes"]))
    classes = Classes(class_embeddings=tensors["class_embeddings"][None], names=(names,))

    def items(keys: Tensor) -> dict[str, Any]:
        # The published vision model answers with the image feature itself: the prior is the key.
        shape = keys.shape[:2]
        return {
            "keys": keys,
            "prior": keys,
            "mask": torch.ones(shape, dtype=torch.bool),
            "classes": classes,
            "inputs": Inputs(np.arange(keys.shape[1])[None], prompts),
        }

    shape = ProblemShape(
        n_episodes=1,
        n_way=facts["n_classes"],
        n_support=keys.shape[1],
        key_dim=facts["dim"],
        value_dim=facts["dim"],
        prior_strength=facts["prior_count"],
        separator="\n",
        seed=0,
    )
    return tensors, Problem(Support(labels=labels, **items(keys)), Query(**items(queries)), shape)


def answers(cls: type[AnyMethod], case: str, given: Problem, **config: Any) -> tuple[Tensor, Tensor]:
    """What the memory recalls ``[item, dim]`` and the scores ``[item, way]``."""
    method = adapted(cls, given, CosineBackbone(scale=CASES[case].facts["logit_scale"]), **config)
    assert isinstance(method, AssociativeMethod)
    with torch.no_grad():
        return method.recall(given.query)[0], method.predict(given.query)[0]


def distance(ours: Tensor, reference: Tensor, scale: Tensor | None = None) -> float:
    """Frobenius norm of the difference, relative to the reference's (or to that of ``scale``)."""
    return float((ours - reference).norm() / (reference if scale is None else scale).norm())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("cls", "config", "reader"),
    [
        pytest.param(FaastOnFeatures, {}, "inverse", id="faast"),
        pytest.param(FaastOnFeatures, {"solver": "pinv"}, "inverse", id="faast-pinv"),
        pytest.param(SoftmaxOnFeatures, {"prior_strength": None}, "softmax", id="softmax_memory"),
    ],
)
def test_agrees(cls: type[AnyMethod], config: dict[str, Any], reader: str, case: str) -> None:
    tensors, given = golden(case)
    read, logits = answers(cls, case, given, **config)
    assert distance(read, tensors[f"{reader}.read"]) < TOLERANCE
    assert distance(logits, tensors[f"{reader}.logits"]) < TOLERANCE


@pytest.mark.parametrize("case", CASES)
def test_linear_attention_agrees(case: str) -> None:
    tensors, given = golden(case)
    read, logits = answers(LinearAttention, case, given)
    # A read is the difference of an average and the mean value, which nearly cancel: the reference has
    # rounded both to float32, so that its reads are off by up to 1.3e-4 of their own small norm. What it
    # can be held to is the accuracy of the average before the mean was subtracted.
    average = tensors["linear.read"] + given.support.values[0].mean(dim=0)
    assert distance(read, tensors["linear.read"], scale=average) < TOLERANCE / 100
    assert distance(logits, tensors["linear.logits"]) < TOLERANCE


@pytest.mark.parametrize("case", CASES)
def test_knn_agrees_where_votes_are_not_tied(case: str) -> None:
    tensors, given = golden(case)
    read, logits = answers(Knn, case, given, prior_strength=None)
    labels = given.support.labels[0]
    k = min(10, int(labels.bincount().max()))
    nearest = (
        torch.cdist(tensors["query_keys"].double(), tensors["support_keys"].double()).topk(k, largest=False).indices
    )
    votes = torch.nn.functional.one_hot(labels[nearest]).sum(dim=1)
    # On a tie the published vote by coordinate gives a vector of no class; see reference/faast.md, defect 4.
    clear = (votes == votes.amax(dim=1, keepdim=True)).sum(dim=1) == 1
    assert clear.float().mean() > 0.25
    assert distance(read[clear], tensors["knn.read"][clear]) < TOLERANCE
    assert distance(logits[clear], tensors["knn.logits"][clear]) < TOLERANCE
    assert torch.cdist(read.double(), given.query.classes.class_embeddings[0].double()).amin(dim=1).max() < 1e-6
