"""LongICLBench: labels, entities or relations written after up to five rounds of demonstrations. Needs a data set."""

from typing import ClassVar

from bench.contracts import Kind, Protocol
from tasks._longicl import LongIclBench


class LongIcl(LongIclBench):
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
    max_new_tokens = 100
    beams = 1

    def __init__(self, data_set: str) -> None:
        """Choose a data set.

        Args:
            data_set: One of ``variants``.
        """
        super().__init__(data_set)
        self.metric, self.stop, self.answer_set = self.part.metric, self.part.stop, self.part.labels
        if not self.part.one_label:
            self.protocol = Protocol(episodes=1, queries=50)


PLUGIN = LongIcl
