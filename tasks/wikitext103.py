"""WikiText-103: perplexity on Wikipedia articles; train articles as support, test articles as queries."""

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal

from datasets import Dataset

from bench.contracts import Kind, Pool, Protocol, Task, TaskData
from bench.toolkit.columns import require_columns
from bench.toolkit.sources import Source

HEADING = re.compile(r" = (?!= ).*(?<! =) = \n?")
"""A heading of level one. Some formulas look like one, but are not between blank rows."""


def articles(rows: Iterable[str | None]) -> list[str]:
    """The articles of a corpus, their rows joined by blank lines as published (arXiv 2605.04651).

    Rows before the first heading of level one are an article of their own, unless they are blank.

    Args:
        rows: Rows of the corpus.

    Returns:
        A text for each article.
    """
    # Copies differ in how they write a blank row.
    lines = [row if row and row.strip() else "" for row in rows]
    starts = [
        number
        for number, line in enumerate(lines)
        if HEADING.fullmatch(line) and not any(lines[max(0, number - 1) : number] + lines[number + 1 : number + 2])
    ]
    borders = [0, *starts, len(lines)]
    parts = [lines[start:end] for start, end in pairwise(borders)]
    return ["\n\n".join(part) for part in parts if any(part)]


class WikiText103(Task):
    """Perplexity per token over windows of 1,024 tokens; an item is an article.

    Windows do not overlap, except in the variant ``sliding``, where they start 512 tokens apart: every token but a
    text's first is then scored with 512 tokens of context or more, for twice the work.

    Windows do not cross articles, so that each article can be drawn, and resampled for the interval, by itself. A local
    copy without the large train split uses validation articles as support; the record's data revision has the split.
    """

    variants: ClassVar = {
        "sliding": "windows that start 512 tokens apart: a longer context, and twice the work",
        "rolling": "windows of lm-evaluation-harness, in which every token is scored: perplexity per word",
    }
    kind = Kind.LANGUAGE_MODELLING
    protocol = Protocol(episodes=1, queries=10)
    size = (
        "some 29,000 support and 60 query articles; a local copy may have the 60 articles of the validation split as "
        "support"
    )
    citation = "Merity et al., Pointer Sentinel Mixture Models, ICLR 2017, CC BY-SA 3.0 and GFDL"
    source = Source(
        "wikitext",
        "Salesforce/wikitext",
        "b08601e04326c79dfdd32d625aee71d232d685c3",
        splits=(("train", "validation"), "test"),
        files="wikitext-103-raw-v1/{split}-*-of-*.parquet",
    )

    def __init__(self, windows: Literal["sliding", "rolling"] | None = None) -> None:
        """Choose the windows.

        Args:
            windows: "sliding" for windows that overlap by half, "rolling" for those of lm-evaluation-harness; None for
                windows that do not overlap.
        """
        if windows == "sliding":
            self.stride = 512
        if windows == "rolling":
            self.stride, self.metric = "rolling", "word_perplexity"

    def load(self, data: Path | None) -> TaskData:
        """Read the articles of both splits.

        Args:
            data: Folder of local copies; None for the hub.

        Returns:
            The articles.
        """
        splits, revision = self.source.load(data)
        support, query = (self._pool(rows) for rows in splits.values())
        return TaskData(support, query, ("text",), revision)

    def _pool(self, rows: Dataset) -> Pool:
        require_columns(self.source.folder, rows, "text")
        return Pool.of_texts(articles(rows["text"]))


PLUGIN = WikiText103
