"""Translation of sentences, prompted as published; a subclass names the corpus and the two languages."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset

from bench.contracts import DataError, Kind, Pool, Protocol, Task, TaskData
from bench.toolkit.sources import Source

LANGUAGES = {"de": "German", "en": "English", "fr": "French"}
COLUMN = "translation"
SYSTEM_MESSAGE = "You are a helpful assistant."
"""What instruction-tuned models were told before the prompt, as published."""
Pair = tuple[str, str]


def prompt(source: str, target: str, sentence: str) -> str:
    """The published prompt; tasks named ``_chat`` put the template of instruction-tuned models around it.

    source, target: codes of languages. Raises DataError if there is no name for one of them.
    """
    names = language_names(source, target)
    return f"Please translate {names[0]} text into {names[1]}.\n\n{names[0]}: {sentence}\n{names[1]}:"


def language_names(source: str, target: str) -> Pair:
    """The English names of two languages. Raises DataError if they are not two that are known."""
    if source == target or not {source, target} <= set(LANGUAGES):
        raise DataError(f"a translation needs two of the languages {', '.join(LANGUAGES)}, got {source} to {target}")
    return LANGUAGES[source], LANGUAGES[target]


def sentence_pairs(name: str, rows: Dataset, source: str, target: str) -> list[Pair]:
    """Sentences in both languages, each on one line; rows where either is empty are left out.

    name: of the corpus, for messages. rows: with a column for each language, or one of both by language.
    Raises DataError if the rows are not in these languages.
    """
    found: list[Pair] = []
    row: Any
    for row in rows[COLUMN] if COLUMN in rows.column_names else rows:
        if not isinstance(row, dict) or not {source, target} <= set(row):
            came = ", ".join(row) if isinstance(row, dict) else type(row).__name__
            raise DataError(
                f"{name} needs the languages {source} and {target} in each row, got {came}; "
                "give a copy with both by --data DIR"
            )
        first, second = (" ".join((row[code] or "").split()) for code in (source, target))
        if first and second:
            found.append((first, second))
    return found


class Translation(Task):
    """BLEU of translations written by beam search; the support holds pairs of the train split.

    Pairs that are also asked, such as short exclamations, are left out of the support.
    """

    kind = Kind.TRANSLATION
    protocol = Protocol(episodes=1, queries=50)
    corpus: ClassVar[Source]
    source: ClassVar[str]
    target: ClassVar[str]

    def load(self, data: Path | None) -> TaskData:
        """Prompts and what should follow them. Raises DataError for a language that is not known or not there."""
        language_names(self.source, self.target)
        splits, revision = self.corpus.load(data)
        support, query = (
            sentence_pairs(self.corpus.folder, rows, self.source, self.target) for rows in splits.values()
        )
        asked = set(query)
        kept = [pair for pair in support if pair not in asked]
        return TaskData(self._pool(kept), self._pool(query), ("text",), revision)

    def _pool(self, pairs: Iterable[Pair]) -> Pool:
        pairs = list(pairs)
        prompts = [prompt(self.source, self.target, sentence) for sentence, _ in pairs]
        return Pool.of_texts(prompts, [f" {translation}" for _, translation in pairs])


class Iwslt2017(Translation):
    """Talks, IWSLT 2017; a subclass names the languages, which are in a data set of their own for each direction."""

    citation = "Cettolo et al., Overview of the IWSLT 2017 Evaluation Campaign, IWSLT 2017, CC BY-NC-ND 4.0"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        config = f"iwslt2017-{cls.source}-{cls.target}"
        cls.corpus = Source(
            config,
            "IWSLT/iwslt2017",
            # Of the branch refs/convert/parquet: main holds a loading script, which is not run here.
            "19f9d9f69207076a345407bba0976583a15a4b2e",
            splits=(("train", "validation"), "test"),
            files=f"{config}/{{split}}/0000.parquet",
        )
