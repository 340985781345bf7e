"""Episodes of a few texts that are support set and queries at once, each with what follows it."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from bench.contracts import AnswerProtocol, Classes, Inputs, Kind
from bench.testing.problems import Problem, problem

PROMPTS = ["Word: happy\nSentiment:", "Word: very bad indeed\nSentiment:", "Word: s\nSentiment:"]
ANSWERS = (" positive", " negative", " very bad indeed")


def given(kind: Kind, texts: list[str] = PROMPTS[:2], completions: tuple[str, ...] = ANSWERS[:2]) -> Problem:
    """One episode whose support and query are the same texts; completion ``i`` belongs to text ``i``."""
    made = problem(n_episodes=1, n_way=len(texts), n_shot=1, n_query=1)
    positions = np.arange(len(texts))[None]
    fields = {
        "keys": torch.zeros(1, len(texts), 0),
        "prior": torch.zeros(1, len(texts), 0),
        "classes": Classes(torch.zeros(1, len(completions), 0), (completions,)),
        "inputs": Inputs(positions, lambda wanted: [texts[position] for position in wanted]),
    }
    support: Any = replace(made.support, labels=torch.arange(len(texts))[None], **fields)
    if kind is Kind.TEXT_GENERATION:
        support = replace(support, targets=lambda wanted: [completions[position] for position in wanted])
    n_way = len(completions) if kind is Kind.TEXT_CLASSIFICATION else 1
    shape = replace(made.shape, kind=kind, n_way=n_way, separator="\n", protocol=AnswerProtocol(16, 8, 6))
    return Problem(support, replace(made.query, **fields), shape)
