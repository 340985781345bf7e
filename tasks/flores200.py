"""FLORES-200: translation of articles' sentences; dev as support, devtest as queries. Needs a direction and --data."""

from pathlib import Path
from typing import ClassVar

from datasets import Dataset

from bench.contracts import DataError, TaskData
from bench.toolkit.columns import require_columns
from bench.toolkit.sources import Source
from tasks._translation import Translation

CODES = {
    "de": "deu_Latn", "en": "eng_Latn", "es": "spa_Latn", "fr": "fra_Latn", "it": "ita_Latn", "ja": "jpn_Jpan",
    "km": "khm_Khmr", "ko": "kor_Hang", "nl": "nld_Latn", "pt": "por_Latn", "ru": "rus_Cyrl", "sw": "swh_Latn",
    "zh": "zho_Hans",
}  # fmt: skip
"""FLORES' codes of the languages."""


class Flores200(Translation):
    """Translation between any two of 13 languages, such as ``flores200:en-de``, prompted as ``iwslt2017``.

    What the hub has is a loading script, which is not run here: ``--data DIR`` names a folder with
    ``flores200/dev.parquet`` and ``flores200/devtest.parquet``, whose columns are ``sentence_eng_Latn`` and the like.
    The metric is BLEU, and chrF into Chinese, Japanese and Khmer, which do not part words by spaces.
    """

    languages: ClassVar = {
        "de": "German", "en": "English", "es": "Spanish", "fr": "French", "it": "Italian", "ja": "Japanese",
        "km": "Khmer", "ko": "Korean", "nl": "Dutch", "pt": "Portuguese", "ru": "Russian", "sw": "Swahili",
        "zh": "Chinese",
    }  # fmt: skip
    system_message = "You are a helpful assistant."
    size = "997 support pairs and 1,012 query sentences"
    citation = "NLLB Team 2022, No Language Left Behind, arXiv 2207.04672, CC BY-SA 4.0"

    def __init__(self, direction: str) -> None:
        """Choose a direction.

        Args:
            direction: Codes of two languages, such as ``en-de``.
        """
        super().__init__(direction)
        self.source = Source(
            "flores200", "facebook/flores", "751d24d88b0d7d90ec0b533a52965050f694eae0", splits=("dev", "devtest")
        )
        if self.target_language in {"ja", "km", "zh"}:
            self.metric = "chrf"

    def load(self, data: Path | None) -> TaskData:
        """Read the local copy.

        Args:
            data: Folder of local copies.

        Returns:
            Prompts and reference translations.

        Raises:
            DataError: Without a local copy, or for a language that it does not have.
        """
        if data is None:
            raise DataError(
                "flores200 needs a local copy, as the hub's is a loading script: give --data DIR or BENCH_DATA with "
                "DIR/flores200/dev.parquet and DIR/flores200/devtest.parquet"
            )
        return super().load(data)

    def by_language(self, rows: Dataset) -> Dataset:
        """Columns of the two languages, named by their short codes.

        Args:
            rows: Rows with columns such as ``sentence_eng_Latn``.

        Returns:
            The rows with these two columns alone.

        Raises:
            DataError: If a column is missing.
        """
        names = {f"sentence_{CODES[code]}": code for code in (self.source_language, self.target_language)}
        require_columns(self.source.folder, rows, *names)
        return rows.select_columns(list(names)).rename_columns(names)


PLUGIN = Flores200
