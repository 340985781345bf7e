"""LongICLBench: labels, entities or relations written after up to five rounds of demonstrations. Needs a data set."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.contracts import Kind, Pool, Protocol, Task, TaskData
from bench.toolkit.sources import Source
from tasks._longicl import PARTS, Items, labelled, read, without_queries
from tasks._texts import prompt_pool


class LongIcl(Task):
    """What a model writes, scored as published; prompts, instructions and label sets are LongICLBench's.

    The support pool holds the demonstrations of five rounds, parsed out of the prompts, and the query pool the queries
    of all rows. Where an answer is one label, a round has an example of each label, and shots are rounds: k shots are k
    of a label's five examples, 5 or ``full`` the published ones. Of ``fewnerd`` and ``dialogre``, shots are
    demonstrations: the published rounds have 57, 114, 170, 224 and 281 sentences, and 34 to 163 pairs in dialogues.
    Answers have 100 tokens at most, each the likeliest. ``longicl_choice`` scores labels by their log-probability.
    """

    variants: ClassVar = {
        "goemotion": "28 emotions of comments, exact match",
        "banking77": "77 intents of customers' queries, exact match",
        "tacred": "41 relations of two entities in a sentence, F1 of labels",
        "discovery": "174 words that connect two sentences, exact match of words",
        "fewnerd": "entities of a sentence and their types, F1 of pairs",
        "dialogre": "relations of all pairs of entities in a dialogue, F1 by position",
    }
    kind = Kind.TEXT_GENERATION
    protocol = Protocol(episodes=1, queries=1)
    max_new_tokens = 100
    beams = 1
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
        self.source, self.metric = self.part.source, self.part.metric
        self.instruction, self.stop, self.answer_set = self.part.instruction, self.part.stop, self.part.labels
        if not self.part.one_label:
            self.protocol = Protocol(episodes=1, queries=50)

    def load(self, data: Path | None) -> TaskData:
        """Read the prompts.

        Args:
            data: Folder of local copies; None for the hub.

        Returns:
            Prompts and reference answers, by label where an answer is one label.
        """
        support, query, revision, notes = read(self.part, data)
        support = without_queries(support, query)
        if not self.part.one_label:
            given, wanted = (np.zeros(len(items.prompts), dtype=np.int64) for items in (support, query))
            return TaskData(self._pool(support, given), self._pool(query, wanted), ("text",), revision, tuple(notes))
        found = labelled(self.part, support, query)
        notes += [found.note] if found.note else []
        return TaskData(
            self._pool(found.support, found.support_labels),
            self._pool(found.query, found.query_labels),
            found.labels,
            revision,
            tuple(notes),
        )

    def _pool(self, items: Items, labels: np.ndarray) -> Pool:
        pool = prompt_pool(items.prompts, labels)
        return Pool(pool.inputs, pool.labels, [self.part.space + answer for answer in items.answers])


PLUGIN = LongIcl
