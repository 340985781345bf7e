"""Generic texts by which a language model that was adapted to tasks is measured on other text."""

from dataclasses import dataclass
from functools import cache

from bench import registry

TASK = "pydoc_text"
"""The task whose queries the texts are from: it is embedded, and its texts are of no task of classification."""
NUMBER = 20
CHARACTERS = 1000
"""Characters of a text that are scored."""


@dataclass(frozen=True)
class GenericTexts:
    """Some texts.

    Attributes:
        texts: The texts.
        source: Where they are from, for records.
    """

    texts: tuple[str, ...]
    source: str


@cache
def generic_texts() -> GenericTexts:
    """The first texts of the query pool of ``pydoc_text``, each its beginning."""
    data = registry.make_task(TASK).load(None)
    texts = tuple(str(text)[:CHARACTERS] for text in data.query.inputs[:NUMBER]["input"])
    return GenericTexts(texts, f"{TASK} {data.revision[:16]}, {len(texts)} texts of {CHARACTERS} characters")
