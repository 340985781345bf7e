from pathlib import Path

import datasets
import pytest

from bench.toolkit import sources as loading
from tasks.imdb import PLUGIN
from tests.helpers.text_rows import prompts, write_rows


def test_reviews_are_cut_after_three_hundred_words(tmp_path: Path) -> None:
    names = datasets.ClassLabel(names=["neg", "pos"])
    for split, letter in (("train", "v"), ("test", "w")):
        texts = [f"{letter} " * 400, f"{letter}<br /><br />{letter}"]
        write_rows(tmp_path / "imdb" / f"{split}.parquet", texts, [1, 0], label=names)
    task = PLUGIN().load(tmp_path)
    assert task.classes == (" negative", " positive")
    assert task.query.labels.tolist() == [1, 0]
    assert prompts(task)[1][0] == "Review: " + " ".join("w" * 300) + "\nSentiment:"
    assert prompts(task)[0][1] == "Review: v<br /><br />v\nSentiment:"


def test_a_hub_snapshot_is_read_and_its_commit_is_in_the_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "plain_text"
    write_rows(folder / "train-00000-of-00001.parquet", ["bad", "good"], [0, 1])
    write_rows(folder / "test-00000-of-00001.parquet", ["fine"], [1])
    for other in ("unsupervised", "latest"):
        write_rows(folder / f"{other}-00000-of-00001.parquet", ["who knows"], [-1])
    monkeypatch.setattr("bench.toolkit.sources.HfApi.repo_info", lambda *_, **__: None)
    monkeypatch.setattr(loading, "snapshot_download", lambda *_, **__: str(tmp_path))
    task = PLUGIN().load(None)
    assert prompts(task)[1] == ["Review: fine\nSentiment:"]
    assert task.revision.startswith("stanfordnlp/imdb@e6281661ce1c48d982bc483cf8a173c1bbeb5d31; ")
