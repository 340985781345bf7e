"""A user's own texts, by class."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from datasets import Dataset

from bench.contracts import Kind, Protocol, TaskData
from bench.toolkit.files import text_hash
from tasks._folders import OwnItems
from tasks._own_files import refuse
from tasks._tables import read_text
from tasks._texts import require_texts

BEFORE, AFTER = "Text: ", "\nLabel:"
"""The prompt before and after a text."""


class OwnTexts(OwnItems):
    """Classification of a user's own texts: see OwnItems for the files.

    Tables have the columns ``text`` and ``label``. A class's name is the answer after the prompt. White space around a
    text is removed, and a text in both pools is an error.
    """

    kind = Kind.TEXT_CLASSIFICATION
    protocol = Protocol(episodes=3, queries=50)
    items = "texts"
    layout = (
        "DIR/CLASS/*.txt, DIR/train/CLASS/*.txt and DIR/test/CLASS/*.txt, or DIR/train.FORMAT and DIR/test.FORMAT "
        "with the columns text and label (parquet, arrow, csv or jsonl)"
    )
    column = "text"
    templates = (
        "Text: {text}\nLabel:",
        "Text: {text}\nCategory:",
        "Input: {text}\nOutput:",
        "{text}\nThis text is about",
    )

    def load(self, data: Path | None) -> TaskData:
        """Read the user's files.

        Args:
            data: The folder with the texts.

        Returns:
            Prompts for all texts.

        Raises:
            DataError: For files that cannot be used and for a text in both pools.
        """
        found = super().load(data)
        answers = tuple(f" {name}" for name in found.classes)
        return replace(found, classes=answers, revision=text_hash(found.revision, BEFORE, AFTER))

    def shown(self, raw: str) -> str:
        """The beginning of a text."""
        return repr(raw.removeprefix(BEFORE).removesuffix(AFTER)[:40])

    def suffixes(self) -> set[str]:
        """The suffix of plain text."""
        return {".txt"}

    def of_files(self, paths: Sequence[Path]) -> Dataset:
        """Prompts; see OwnItems.

        Args:
            paths: A file for each text.

        Returns:
            A data set of prompts.

        Raises:
            DataError: For files without a text, with their number and the first few.
        """
        texts = [read_text(path) for path in paths]
        empty = [path for path, text in zip(paths, texts, strict=True) if not text.strip()]
        refuse(empty, "text files are empty; fill or remove them")
        return _prompts(texts)

    def of_rows(self, name: str, rows: Dataset, folder: Path) -> Dataset:
        """Prompts; see OwnItems.

        Args:
            name: Name of the data, for messages.
            rows: A row for each text.
            folder: Folder of the tables.

        Returns:
            A data set of prompts.

        Raises:
            DataError: For a row without a text.
        """
        return _prompts(require_texts(name, list(rows[self.column])))


def _prompts(texts: Sequence[str]) -> Dataset:
    return Dataset.from_dict({"input": [f"{BEFORE}{text.strip()}{AFTER}" for text in texts]})
