"""LongICLBench as a choice: the likeliest of up to 174 labels after up to five rounds. Needs a data set."""

from pathlib import Path
from typing import ClassVar

from bench.contracts import Kind, Protocol, Task, TaskData
from bench.toolkit.sources import Source
from tasks._longicl import PARTS, labelled, read, without_queries
from tasks._texts import prompt_pool


class LongIclChoice(Task):
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
    protocol = Protocol(episodes=1, queries=1)
    citation = (
        "Li et al. 2024, Long-context LLMs Struggle with Long In-context Learning, arXiv 2404.02060, MIT; the data "
        "sets in it have licences of their own, TacRED's is LDC's"
    )
    source: Source = PARTS["goemotion"].source

    def __init__(self, data_set: str) -> None:
        """Choose a data set.

        Args:
            data_set: One of ``variants``.
        """
        self.part = PARTS[data_set]
        self.source, self.instruction = self.part.source, self.part.instruction

    def load(self, data: Path | None) -> TaskData:
        """Read the prompts.

        Args:
            data: Folder of local copies; None for the hub.

        Returns:
            Prompts by label.
        """
        support, query, revision, notes = read(self.part, data)
        found = labelled(self.part, without_queries(support, query), query)
        notes += [found.note] if found.note else []
        return TaskData(
            prompt_pool(found.support.prompts, found.support_labels),
            prompt_pool(found.query.prompts, found.query_labels),
            tuple(self.part.space + label for label in found.labels),
            f"{revision}; choice",
            tuple(notes),
        )


PLUGIN = LongIclChoice
