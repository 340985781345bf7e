"""Lexicon swapped: sentiment of single words with the two answers exchanged, which only examples can tell."""

from pathlib import Path

from bench.contracts import Pool, TaskData
from bench.toolkit.files import text_hash
from tasks.lexicon import Lexicon


class LexiconSwapped(Lexicon):
    """The words of ``lexicon``, positive ones labelled " negative" and the others " positive".

    A model that knows what the answers mean is wrong about as often as it is right on ``lexicon``; after that task it
    contradicts what was learnt.
    """

    def load(self, data: Path | None) -> TaskData:
        """Read the lexicon and exchange its labels.

        Args:
            data: Unused; the lexicon is part of a package.

        Returns:
            The pools of ``lexicon`` with other labels.
        """
        plain = super().load(data)
        support, query = (Pool(pool.inputs, 1 - pool.labels) for pool in (plain.support, plain.query))
        return TaskData(support, query, plain.classes, text_hash(plain.revision, "labels exchanged"))


PLUGIN = LexiconSwapped
