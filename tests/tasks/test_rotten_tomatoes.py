from pathlib import Path
from typing import Any

import pytest

from bench.contracts import DataError
from bench.toolkit import sources as loading
from tasks.rotten_tomatoes import PLUGIN
from tests.helpers.text_rows import prompts, write_rows


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_rows(tmp_path / "rotten_tomatoes" / "train.parquet", ["bad", "good"], [0, 1])
    write_rows(tmp_path / "rotten_tomatoes" / "test.parquet", ["fine"], [1])
    return tmp_path


def test_prompts_are_those_of_the_other_reviews(data: Path) -> None:
    task = PLUGIN().load(data)
    assert prompts(task) == (["Review: bad\nSentiment:", "Review: good\nSentiment:"], ["Review: fine\nSentiment:"])
    assert task.classes == (" negative", " positive")
    assert task.query.labels.tolist() == [1]


def test_a_hub_snapshot_has_one_file_for_each_split(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requested: list[Any] = []

    def snapshot(*arguments: Any) -> Path:
        requested.extend(arguments)
        return data / "rotten_tomatoes"

    monkeypatch.setattr(loading, "hub_folder", snapshot)
    task = PLUGIN().load(None)
    assert requested[-1] == ["train.parquet", "*/train.parquet", "test.parquet", "*/test.parquet"]
    assert prompts(task)[1] == ["Review: fine\nSentiment:"]
    assert task.revision.startswith(
        "cornell-movie-review-data/rotten_tomatoes@aa13bc287fa6fcab6daf52f0dfb9994269ffea28; "
    )
    (data / "rotten_tomatoes" / "test.parquet").unlink()
    with pytest.raises(DataError, match=r"test\.parquet.*give --data DIR or BENCH_DATA with DIR/rotten_tomatoes/train"):
        PLUGIN().load(None)
