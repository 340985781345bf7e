"""Rows of text for tests: small Parquet files, and what a task makes of them."""

from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset

from bench.contracts import TaskData


def write_rows(path: Path, texts: list[Any], labels: list[Any], *, text: str = "text", label: Any = None) -> Path:
    """A Parquet file with a column of texts and one of labels; label: the feature that these are of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    features = datasets.Features({text: datasets.Value("string"), "label": label or datasets.Value("int64")})
    Dataset.from_dict({text: texts, "label": labels}, features).to_parquet(path)
    return path


def prompts(data: TaskData) -> tuple[list[str], list[str]]:
    """The prompts of the support pool and of the query pool."""
    support, query = (list(pool.inputs["input"]) for pool in (data.support, data.query))
    return support, query
