"""The page of middle memories says what its data say, and the packaged readouts are what it describes."""

import runpy
from pathlib import Path

import pytest

from bench.contracts import DataError
from bench.toolkit.readout_files import PACKAGED, read_readouts, read_tensors
from tests.helpers.places import ROOT

MADE = runpy.run_path(str(ROOT / "docs" / "results" / "middle_memories.py"), run_name="middle_memories")
PAGE = (ROOT / "docs" / "results" / "middle-memories.md").read_text(encoding="utf-8")
NAMES = ("smollm2_135m_docs", "smollm2_135m_mixed")


def test_the_tables_are_those_of_the_data():
    assert MADE["filled"](PAGE) == PAGE
    recipes = [recipe for run in MADE["runs"]() for recipe in run["recipes"]]
    assert len(recipes) == 24
    assert f"{len(recipes)}\nrecipes" in PAGE
    lines = {line for _, line, _, _ in MADE["points"](MADE["runs"]())}
    assert lines == set(MADE["SHOWN"].values())


def test_the_test_texts_perplexities_are_those_of_the_data():
    second = MADE["runs"]()[1]
    found = {row["name"]: row for row in second["test"]}
    alone = found["mixed"]["alone"]
    rows = [("the model alone", None, None)]
    rows += [("`smollm2_135m_docs`", "docs_only_rate3e-4", "right"), ("`smollm2_135m_mixed`", "mixed", "right")]
    lines = [line for line in PAGE.splitlines() if line.startswith("|")]
    for words, name, condition in rows:
        changes = {"pydoc": 0.0, "wiki": 0.0} if name is None else {
            task: found[name]["change"][f"{task}/{condition}"] for task in ("pydoc", "wiki")
        }  # fmt: skip
        values = [MADE["perplexity"]({"alone": alone}, task, changes[task]) for task in ("pydoc", "wiki")]
        assert any(words in line and all(value in line for value in values) for line in lines), (words, values)


@pytest.mark.parametrize("name", NAMES)
def test_packaged_readouts_are_found_by_their_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = read_readouts(Path(name), 576)
    assert (len(found.middle), found.output, found.keys, found.values) == (5, None, "normed", "following")
    assert all(each.out.abs().max() > 0 for each in found.middle)
    _, header = read_tensors(PACKAGED / f"{name}.safetensors")
    assert (header["backbone"], header["alpha"], header["halves"]) == ("smollm2_135m", "0.5", "related")
    with pytest.raises(DataError, match="found none at"):
        read_readouts(Path(f"other/{name}"), 576)
    with pytest.raises(DataError, match="for a model 32 wide"):
        read_readouts(Path(name), 32)


def test_they_are_small_enough_for_a_package():
    files = list(PACKAGED.iterdir())
    assert {file.stem for file in files} == set(NAMES)
    assert sum(file.stat().st_size for file in files) < 20e6
    pattern = '"toolkit/packaged_readouts/*.safetensors"'
    assert pattern in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
