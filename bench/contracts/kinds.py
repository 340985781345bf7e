"""Kinds of task, input modes of methods, prompt styles and templates."""

from enum import StrEnum
from typing import Literal


class Kind(StrEnum):
    """Kind of a task; a method declares the kinds that it serves."""

    IMAGE_CLASSIFICATION = "image_classification"
    TEXT_CLASSIFICATION = "text_classification"
    VECTOR_CLASSIFICATION = "vector_classification"
    LANGUAGE_MODELLING = "language_modelling"
    TEXT_GENERATION = "text_generation"


CLASSIFICATION = frozenset({Kind.IMAGE_CLASSIFICATION, Kind.TEXT_CLASSIFICATION, Kind.VECTOR_CLASSIFICATION})
"""Kinds with a key and a prior for each item, and one class as the answer."""
LANGUAGE = frozenset({Kind.TEXT_CLASSIFICATION, Kind.LANGUAGE_MODELLING, Kind.TEXT_GENERATION})
"""Kinds that a language model answers from a prompt."""


DEFAULT_METRICS = {
    Kind.IMAGE_CLASSIFICATION: "accuracy",
    Kind.TEXT_CLASSIFICATION: "accuracy",
    Kind.VECTOR_CLASSIFICATION: "accuracy",
    Kind.LANGUAGE_MODELLING: "perplexity",
    Kind.TEXT_GENERATION: "exact_match",
}
"""Metric of each kind of task, unless the task names another."""


class InputMode(StrEnum):
    """Form of the items that a method reads.

    Attributes:
        FEATURES: Keys and priors of the frozen encoder, computed once and cached.
        INPUTS: Raw images or prompts, which the method runs through the backbone in its own stages, at its own cost.
    """

    FEATURES = "features"
    INPUTS = "inputs"


class EmbeddingUse(StrEnum):
    """What a method on features does with class embeddings, and with the zero-shot prior, which is in their space.

    Attributes:
        REQUIRED: Its answers are made of them; without them its runs are skipped.
        OPTIONAL: A part of its answers is made of them. The part is left out where there are none, or only means of
            several tokens, and the record says so.
        LABELS_INSTEAD: It takes them for the values of classes, and one-hot labels do as well: a backbone without a
            text encoder has these and a prior that is the same for every class, and the record says so.
        UNUSED: It works with keys and labels alone.
    """

    REQUIRED = "required"
    OPTIONAL = "optional"
    LABELS_INSTEAD = "labels_instead"
    UNUSED = "unused"


Precision = Literal["32-true", "64-true", "bf16-mixed", "bf16-true", "16-mixed", "16-true"]
"""Precision of a backbone, by Lightning's names."""

PromptStyle = Literal["plain", "chat"]
"""Style of the prompts of a task: the task's own, or turns of a chat."""

Template = int | str
"""Form of a task's prompts: the number of one of its templates, or a text with ``{text}`` or ``{label}`` in it."""

Family = Literal["closed_form", "gradient", "memory", "context", "none"]
"""Family of a method, by what adapting is and what it costs."""
FAMILIES: dict[Family, str] = {
    "closed_form": "sums or one linear solve over the support set, without gradient descent; adapting costs little on "
    "cached features, and in a language model its passes over the examples, many where blocks or heads are tried",
    "gradient": "training by gradient descent; adapting costs its steps",
    "memory": "the examples are kept; adapting is storing them, and each query is compared with all of them",
    "context": "the examples stand before each query; adapting costs little, and each query costs their tokens",
    "none": "no examples are used; adapting costs nothing",
}
"""What each family costs."""
