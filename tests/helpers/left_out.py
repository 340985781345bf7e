"""Support items answered by methods that were adapted without them."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bench.testing.driver import adapted
from bench.testing.items import columns, masked
from bench.testing.problems import Problem


def without(given: Problem, item: int) -> Problem:
    """The problem of answering the support items, without one of them to answer from."""
    mask = given.support.mask.clone()
    mask[:, item] = False
    fields = {name: getattr(given.support, name) for name in ("keys", "prior", "mask", "classes", "inputs")}
    return replace(given, support=masked(given.support, mask), query=replace(given.query, **fields))


def as_query(given: Problem, item: int) -> Problem:
    """The problem of answering one support item with the others."""
    left = without(given, item)
    return replace(left, query=columns(left.query, slice(item, item + 1)))


def brute_force(cls: Any, given: Problem, **config: Any) -> Tensor:
    """``[episode, item, way]``, each item answered by a method adapted to the others."""
    answers = []
    for item in range(given.support.mask.shape[1]):
        left = as_query(given, item)
        answers.append(adapted(cls, left, **config).predict(left.query))
    return torch.cat(answers, dim=1)
