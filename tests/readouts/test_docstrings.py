"""Documentation of installed packages as a corpus."""

import os
import shutil
from pathlib import Path

import pytest

from bench.contracts import DataError
from bench.readouts import docstrings
from bench.readouts.corpus import read_corpora, read_corpus

LONG = "This sentence is repeated until the docstring is long enough. " * 3


def test_docstrings_in_the_order_of_modules_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_package"
    (package / "inner").mkdir(parents=True)
    (package / "tests").mkdir()
    (package / "__init__.py").write_text(f'"""Package. {LONG}"""\n')
    (package / "a.py").write_text(f'def first():\n    """First. {LONG}"""\n\ndef second():\n    """Too short."""\n')
    (package / "broken.py").write_text("def (")
    (package / "inner" / "b.py").write_text(f'class Third:\n    """Third. {LONG}"""\n    raise RuntimeError\n')
    (package / "tests" / "c.py").write_text(f'"""Tests. {LONG}"""\n')
    monkeypatch.syspath_prepend(tmp_path)
    outer, inner = read_corpus("docstrings:some_package", None).texts
    assert outer == f"Package. {LONG}".strip() + "\n\n\n" + f"first\n\nFirst. {LONG}".strip()
    assert inner == f"Third\n\nThird. {LONG}".strip()
    (tmp_path / "text.txt").write_text("words")
    both = read_corpora(["docstrings:some_package", str(tmp_path / "text.txt")], None)
    assert both.texts == (outer, inner, "words")
    assert both.name == f"docstrings:some_package + {tmp_path / 'text.txt'}"


def test_the_standard_library_without_the_text_of_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = docstrings._folder("stdlib")
    assert whole == Path(os.__file__).parent
    for name in ("email", "json", "pydoc_data"):
        shutil.copytree(whole / name, tmp_path / name)
    monkeypatch.setattr(docstrings, "_folder", lambda name: tmp_path)
    texts = read_corpus("docstrings:stdlib", None).texts
    assert len(texts) >= 2
    assert sum(map(len, texts)) > 20_000
    from pydoc_data.topics import topics

    assert not any(topics["lambda"].strip() in text for text in texts)


@pytest.mark.parametrize(
    ("name", "message"),
    [("docstrings:not_installed", "needs names of installed packages or stdlib, got 'not_installed'"),
     ("docstrings:", "got ''"), ("docstrings:some.module", "got 'some.module'")],
)  # fmt: skip
def test_packages_that_are_not_there(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_corpus(name, None)
