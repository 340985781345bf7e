"""Translation of sentences, prompted as published; a subclass names the corpus."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from datasets import Dataset

from bench.contracts import DataError, Kind, Pool, Protocol, Task, TaskData
from bench.toolkit.sources import Source

LANGUAGES = {"de": "German", "en": "English", "fr": "French"}
COLUMN = "translation"
Pair = tuple[str, str]


def prompt(source: str, target: str, sentence: str) -> str:
    """The published prompt.

    Args:
        source: Code of the language of the sentence.
        target: Code of the language to translate into.
        sentence: The sentence.

    Returns:
        The prompt, which ends where the translation begins.

    Raises:
        DataError: For a language without a known name.
    """
    names = language_names(source, target)
    return f"Please translate {names[0]} text into {names[1]}.\n\n{names[0]}: {sentence}\n{names[1]}:"


def language_names(source: str, target: str) -> Pair:
    """The English names of two languages. Raises DataError if they are not two that are known."""
    if source == target or not {source, target} <= set(LANGUAGES):
        raise DataError(f"a translation needs two of the languages {', '.join(LANGUAGES)}, got {source} to {target}")
    return LANGUAGES[source], LANGUAGES[target]


def sentence_pairs(name: str, rows: Dataset, source: str, target: str) -> list[Pair]:
    """Sentences in both languages, each on one line; rows with an empty side are left out.

    Args:
        name: Name of the corpus, for messages.
        rows: Rows with a column for each language, or with one column of both by language.
        source: Code of the first language.
        target: Code of the second language.

    Returns:
        Pairs of sentences.

    Raises:
        DataError: For rows without one of the languages.
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
    """BLEU of translations written by beam search; the support pool holds pairs of the train split.

    Pairs that are also queries, such as short exclamations, are left out of the support pool.
    """

    kind = Kind.TRANSLATION
    protocol = Protocol(episodes=1, queries=50)
    source: Source

    def __init__(self, direction: str) -> None:
        """Choose a direction.

        Args:
            direction: Codes of two languages, such as ``de-en``.

        Raises:
            DataError: For a language without a known name.
        """
        self.source_language, _, self.target_language = direction.partition("-")
        language_names(self.source_language, self.target_language)

    def load(self, data: Path | None) -> TaskData:
        """Prompts and reference translations. Raises DataError for a language that the corpus does not have."""
        splits, revision = self.source.load(data)
        support, query = (
            sentence_pairs(self.source.folder, rows, self.source_language, self.target_language)
            for rows in splits.values()
        )
        queries = set(query)
        kept = [pair for pair in support if pair not in queries]
        return TaskData(self._pool(kept), self._pool(query), ("text",), revision)

    def _pool(self, pairs: Iterable[Pair]) -> Pool:
        pairs = list(pairs)
        prompts = [prompt(self.source_language, self.target_language, sentence) for sentence, _ in pairs]
        return Pool.of_texts(prompts, [f" {translation}" for _, translation in pairs])
