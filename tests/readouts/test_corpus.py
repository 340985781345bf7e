"""Where the text to train on comes from, and how it is cut and ordered."""

from pathlib import Path

import pytest
import torch

from bench.backbones.hf import CausalLM
from bench.contracts import DataError, UsageError
from bench.readouts import corpus as corpora
from bench.readouts.corpus import Batches, Corpus, packed_windows, read_corpus
from tests.helpers.readouts import TEXTS


def test_batches_cover_each_epoch_and_do_not_depend_on_where_they_begin() -> None:
    windows = torch.arange(7).view(7, 1)
    batches = [batch.flatten().tolist() for batch in Batches(windows, 3, 7, seed=0)]
    flat = [place for batch in batches for place in batch]
    for epoch in range(3):
        assert sorted(flat[epoch * 7 : (epoch + 1) * 7]) == list(range(7))
    assert flat[:7] != flat[7:14]
    for first in range(7):
        assert [batch.flatten().tolist() for batch in Batches(windows, 3, 7, 0, first)] == batches[first:]


@pytest.mark.parametrize("size", [2**20, 50])
def test_windows_hold_the_texts_joined(folder: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(corpora, "CHARACTERS_AT_ONCE", size)
    backbone = CausalLM(folder)
    windows = packed_windows(backbone, TEXTS, 16, 1)
    assert windows.shape[1] == 16
    joined = "\n\n".join(TEXTS)
    for row in windows:
        assert backbone.tokenizer.decode(row) in joined
    if size > len(joined):
        (total,) = backbone.count_tokens([joined])
        assert len(windows) == total // 16


def test_corpora(tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_corpus(str(text), None).texts == ("\n\n".join(TEXTS).strip(),)
    (tmp_path / "more").mkdir()
    for name, content in (("b.txt", "second"), ("a.txt", "first\n"), ("empty.txt", " \n"), ("c.md", "not read")):
        (tmp_path / "more" / name).write_text(content, encoding="utf-8")
    found = read_corpus(str(tmp_path / "more"), None)
    assert found.texts == ("first", "second")
    assert found.revision != Corpus("other", ("firsts", "econd")).revision
    (tmp_path / "none").mkdir()
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "binary.txt").write_bytes(b"abc\xff")
    monkeypatch.chdir(tmp_path)
    for name, error, message in (
        ("gone.txt", DataError, "there is no file or folder gone.txt"),
        ("no/such", DataError, "there is no file or folder no/such"),
        ("none", DataError, "needs a folder with .txt files, none has none"),
        ("empty.txt", DataError, "needs text, empty.txt holds none"),
        ("binary.txt", DataError, "binary.txt must be text in UTF-8, got an invalid byte at 3"),
        ("lexicn", UsageError, "no task 'lexicn'; did you mean 'lexicon'"),
        ("lexicon", UsageError, "needs a task of kind language_modelling, .* lexicon is of kind text_classification"),
    ):
        with pytest.raises(error, match=message) as caught:
            read_corpus(name, None)
        assert "\n" not in str(caught.value)


def test_a_task_gives_its_support_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.pydoc_text import PydocText

    monkeypatch.chdir(tmp_path)
    Path("pydoc_text").mkdir()
    assert read_corpus("pydoc_text", None).texts == tuple(PydocText().load(None).support.inputs["input"])
