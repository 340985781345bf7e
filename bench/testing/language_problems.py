"""Small problems of language modelling and translation: one episode of texts that tiny decoders can read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from bench.contracts import AnswerProtocol, Classes, Inputs, Kind, ProblemShape, Query, Support
from bench.testing.doubles import Problem

WORDS = ("happy", "awful", "very good", "very bad", "indeed", "so good", "so bad")
N_SUPPORT = 4


def language_problem(kind: Kind) -> Problem:
    """A problem without classes.

    Args:
        kind: Language modelling: texts to adapt to and to score. Translation: prompts, and target texts of the support.

    Returns:
        One episode of 4 support texts and 3 query texts.
    """
    if kind is Kind.TRANSLATION:
        texts = [f"Word: {word}\nTwice:" for word in WORDS]
        targets = [f" {word} {word}" for word in WORDS]
    else:
        texts, targets = [f"Word: {word}\nSentiment: {word}, {word}\n" for word in WORDS], None
    support = Support(
        **_fields(range(N_SUPPORT), texts),
        labels=torch.zeros(1, N_SUPPORT, dtype=torch.long),
        targets=None if targets is None else lambda positions: [targets[position] for position in positions],
    )
    query = Query(**_fields(range(N_SUPPORT, len(WORDS)), texts))
    protocol = AnswerProtocol(window=32, max_new_tokens=4)
    return Problem(support, query, ProblemShape(1, 1, N_SUPPORT, 0, 0, 0.0, "\n", 0, kind, protocol))


def _fields(positions: Sequence[int], texts: Sequence[str]) -> dict[str, Any]:
    """Fields of a batch of items without features."""
    none = torch.zeros(1, len(positions), 0)
    return {
        "keys": none,
        "prior": none,
        "mask": torch.ones(1, len(positions), dtype=torch.bool),
        "classes": Classes(torch.zeros(1, 1, 0), (("text",),)),
        "inputs": Inputs(np.array([list(positions)]), lambda wanted: [texts[position] for position in wanted]),
    }
