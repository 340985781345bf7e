"""LongICLBench as a choice: the likeliest of up to 174 labels after up to five rounds. Needs a data set."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from bench.contracts import Kind, TaskData
from tasks._longicl import LongIclBench


class LongIclChoice(LongIclBench):
    """The label with the largest log-probability; prompts, instructions and label sets are LongICLBench's.

    Support and query sets are those of ``longicl``, whose answers are written: there a text outside the label set is
    wrong, here a label is always chosen. Labels that begin alike share the work of their common tokens.
    """

    variants: ClassVar = {
        "goemotion": "28 emotions of comments",
        "banking77": "77 intents of customers' queries",
        "tacred": "41 relations of two entities in a sentence",
        "discovery": "174 words that connect two sentences",
    }
    kind = Kind.TEXT_CLASSIFICATION

    def load(self, data: Path | None) -> TaskData:
        """Read the prompts.

        Args:
            data: Folder of local copies; None for the hub.

        Returns:
            Prompts by label.
        """
        found = super().load(data)
        support, query = (replace(pool, targets=None) for pool in (found.support, found.query))
        classes = tuple(self.part.space + label for label in found.classes)
        return replace(found, support=support, query=query, classes=classes, revision=f"{found.revision}; choice")


PLUGIN = LongIclChoice
