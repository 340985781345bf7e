"""Calibration of answers: what a language model's probabilities of answers are divided by."""

from collections.abc import Sequence
from itertools import takewhile
from typing import Literal

import torch
from torch import Tensor

from bench.contracts import ProblemShape, UsageError
from bench.toolkit.chat import Conversation, user_turn

Calibrate = Literal["none", "content_free", "support", "pmi"]
CALIBRATE = (
    "What an answer's probability is divided by. none: nothing, as in GPT-3's paper. content_free: its probability "
    "where the text says nothing (Zhao et al. 2021). support: its mean over support prompts. pmi: its probability "
    "after the end of the prompt alone, from where the text ends (Holtzman et al. 2021)."
)
"""Description of the field."""


def require_calibration(calibrate: Calibrate, shape: ProblemShape) -> None:
    """Require that a task has what calibrating needs. Raises UsageError if not."""
    if calibrate in ("content_free", "pmi") and not shape.content_free:
        raise UsageError(
            f"calibrate={calibrate} needs a task with content-free prompts, got one without; use calibrate=support"
        )
    if calibrate == "pmi" and not answer_prefix(shape.content_free):
        raise UsageError(
            "calibrate=pmi needs a prompt that goes on after the text, got one that ends with it; "
            "use calibrate=content_free"
        )


def answer_prefix(content_free: Sequence[str]) -> str:
    """The end of a task's prompts, from where the text ends up to the answer: what content-free prompts all end with.

    Args:
        content_free: Prompts with texts that say nothing, with different last letters.

    Returns:
        The prompt's end, as a turn of the user where prompts are turns; empty if a prompt ends with its text.
    """
    turns = [Conversation.of(prompt) for prompt in content_free]
    messages = [turn.messages for turn in turns if turn is not None]
    plain = [turn[-1]["content"] for turn in messages] or content_free
    backwards = [prompt[::-1] for prompt in plain]
    least, greatest = min(backwards), max(backwards)
    # All texts between the two in the order of a dictionary begin with what these two share.
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(least, greatest, strict=False))
    ending = "".join(letter for letter, _ in shared)[::-1]
    if not messages or not ending:
        return ending
    system = messages[0][0]["content"] if len(messages[0]) > 1 else None
    return user_turn(ending, system)


def mean_log(values: Tensor) -> Tensor:
    """Logarithm of the mean over the first axis of probabilities, given and returned as logarithms."""
    return values.logsumexp(dim=0) - torch.tensor(float(len(values))).log()


def mean_log_probability(scores: Tensor) -> Tensor:
    """``[way]``: logarithm of each answer's mean probability over prompts, from ``scores [prompt, way]``."""
    return mean_log(scores.double().log_softmax(dim=-1))
