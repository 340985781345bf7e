"""The kinds of task there are, and what a method may read of an item."""

from enum import StrEnum
from typing import Literal


class Kind(StrEnum):
    """What a task asks; a method declares which kinds it serves."""

    IMAGE_CLASSIFICATION = "image_classification"
    TEXT_CLASSIFICATION = "text_classification"
    LANGUAGE_MODELLING = "language_modelling"
    TRANSLATION = "translation"


CLASSIFICATION = frozenset({Kind.IMAGE_CLASSIFICATION, Kind.TEXT_CLASSIFICATION})
"""Kinds whose items have a key, a prior and one of some classes as the answer."""
LANGUAGE = frozenset({Kind.TEXT_CLASSIFICATION, Kind.LANGUAGE_MODELLING, Kind.TRANSLATION})
"""Kinds that a language model answers from a prompt."""


DEFAULT_METRICS = {
    Kind.IMAGE_CLASSIFICATION: "accuracy",
    Kind.TEXT_CLASSIFICATION: "accuracy",
    Kind.LANGUAGE_MODELLING: "perplexity",
    Kind.TRANSLATION: "bleu",
}
"""The metric of each kind of task; a task may name another."""


class InputMode(StrEnum):
    """What a method needs of each item.

    ``FEATURES``: keys and priors of the frozen encoder, computed once and cached.
    ``INPUTS``: the raw image or prompt, which the method runs through the backbone itself
    (and whose cost it therefore carries in its own stages).
    """

    FEATURES = "features"
    INPUTS = "inputs"


PromptStyle = Literal["plain", "chat"]
"""How the prompts of a task are put together: as the task has them, or as turns of a chat."""
