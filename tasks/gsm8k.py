"""GSM8K: word problems of grade school, whose written solutions end with a number; 7,473 support, 1,319 query items."""

from pathlib import Path

from datasets import Dataset

from bench.contracts import Kind, Pool, Protocol, Task, TaskData
from bench.toolkit.columns import require_columns
from bench.toolkit.sources import Source
from tasks._copies import other_than_queries
from tasks._texts import require_texts

QUESTION, ANSWER = "question", "answer"


class Gsm8k(Task):
    """Exact match of the number that a written solution ends with, after ``####``.

    Prompts, the texts between demonstrations and the end of an answer are those of lm-evaluation-harness. Any data of
    the same columns, ``question`` and ``answer``, are read from ``DIR/gsm8k`` by ``--data DIR``.
    """

    kind = Kind.TEXT_GENERATION
    metric = "exact_number"
    protocol = Protocol(episodes=1, queries=50)
    # All begin with what ends an answer; the second is that of Kojima et al. 2022, arXiv 2205.11916.
    templates = (
        "Question: {text}\nAnswer:",
        "Question: {text}\nAnswer: Let's think step by step.",
        "Question: {text}\nSolution:",
    )
    separator = "\n\n"
    stop = ("Question:",)
    beams = 1
    max_new_tokens = 256
    size = "7,473 support and 1,319 query problems, without support problems that are queries too"
    citation = "Cobbe et al. 2021, Training Verifiers to Solve Math Word Problems, arXiv 2110.14168, MIT"
    source = Source(
        "gsm8k",
        "openai/gsm8k",
        "e53f048856ff4f594e959d75785d2c2d37b678ee",
        files="main/{split}-*-of-*.parquet",
    )

    def load(self, data: Path | None) -> TaskData:
        """Read both splits.

        Args:
            data: Folder of local copies; None for the hub.

        Returns:
            Questions and worked solutions.

        Raises:
            DataError: For a row without a question or an answer.
        """
        splits, revision = self.source.load(data)
        support, query = (self._items(split, rows) for split, rows in splits.items())
        questions = ([question for question, _ in items] for items in (support, query))
        kept = [support[row] for row in other_than_queries(*questions)]
        return TaskData(_pool(kept), _pool(query), ("text",), revision)

    def _items(self, split: str, rows: Dataset) -> list[tuple[str, str]]:
        name = f"{self.source.folder} {split}"
        require_columns(name, rows, QUESTION, ANSWER)
        questions, answers = (require_texts(name, list(rows[column])) for column in (QUESTION, ANSWER))
        return list(zip(questions, answers, strict=True))


def _pool(items: list[tuple[str, str]]) -> Pool:
    return Pool.of_texts(
        [f"Question: {question}\nAnswer:" for question, _ in items], [f" {answer}" for _, answer in items]
    )


PLUGIN = Gsm8k
