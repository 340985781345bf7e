"""A user's own columns, splits and documents, and any data set of the hub."""

import json
from shutil import rmtree

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

from bench import registry
from bench.contracts import DataError, UsageError
from bench.spec.options import read_suite
from tests.helpers.hub import running_hub
from tests.helpers.images import noise, png
from tests.helpers.text_rows import prompts, write_rows

REVIEWS = [{"review": f"text {row}", "stars": 1 + row % 3, "note": None} for row in range(12)]


def texts(pool):
    return list(pool.inputs["input"])


def write(path, rows=REVIEWS):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def load(name, data):
    return registry.make_task(name).load(data)


def test_options_name_columns_and_splits_in_the_task():
    options = {"method": "faast", "columns": ["text=a review,label=stars"], "splits": ["train,dev"]}
    blocks = read_suite(None, {"task": ["text_folder", "hub:a/b"], **options}).blocks
    chosen = "text=a review+label=stars+splits=train/dev"
    assert [block.task for block in blocks] == [f"text_folder:{chosen}", f"hub:a/b+{chosen}"]
    assert read_suite(None, {"task": "digits", "method": "faast"}).blocks[0].task == "digits"
    with pytest.raises(UsageError, match="columns and splits need names without"):
        read_suite(None, {"task": "text_folder", "method": "faast", "columns": {"text": "a+b"}})


def test_columns_of_other_names_and_splits_of_other_names_are_read(tmp_path):
    for number, name in enumerate(("fit", "judge", "spare")):
        write(tmp_path / f"{name}.jsonl", [row | {"review": f"{number} {row['review']}"} for row in REVIEWS])
    found = load("text_folder:text=review+label=stars+splits=fit/judge", tmp_path)
    assert found.classes == (" 1", " 2", " 3")
    assert prompts(found)[0][0] == "Text: 0 text 0\nLabel:"
    assert prompts(found)[1][0] == "Text: 1 text 0\nLabel:"
    halved = load("text_folder:text=review+label=stars+splits=spare", tmp_path)
    assert len(halved.support.labels) == len(halved.query.labels) == 6
    with pytest.raises(DataError, match=r"has no split 'dev' in .*; there are fit, judge, spare"):
        load("text_folder:text=review+label=stars+splits=fit/dev", tmp_path)
    with pytest.raises(DataError, match="needs the columns 'text' and 'stars', got review, stars, note"):
        load("text_folder:label=stars+splits=spare", tmp_path)


def test_a_saved_data_set_is_read_by_the_folders_of_its_splits(tmp_path, cache):
    parts = {
        split: Dataset.from_list([row | {"review": f"{split} {row['review']}"} for row in REVIEWS])
        for split in ("train", "test", "spare")
    }
    DatasetDict(parts).save_to_disk(tmp_path / "data")
    name = "text_folder:text=review+label=stars"
    with pytest.raises(DataError, match=r"cannot say to which split these .* belong: spare/data"):
        load(name, tmp_path / "data")
    for task in (f"{name}+splits=spare/test", "text_file:text=review+splits=spare/test"):
        support, query = prompts(load(task, tmp_path / "data"))
        assert all("spare" in text for text in support)
        assert all("test" in text for text in query)
    rmtree(tmp_path / "data" / "spare")
    support, query = prompts(load(name, tmp_path / "data"))
    assert support[0] == "Text: train text 0\nLabel:"
    assert query[0] == "Text: test text 0\nLabel:"
    (file,) = (tmp_path / "data" / "test").glob("*.arrow")
    file.write_bytes(b"ARROW1 damaged")
    with pytest.raises(DataError, match=r"text_folder test cannot be read from .*\.arrow"):
        load(name, tmp_path / "data")


@pytest.mark.parametrize("argument", ["txt=review", "text=", "text=a+text=b", "review"])
def test_options_of_own_data_that_mean_nothing_are_refused(argument):
    with pytest.raises(UsageError, match="task text_folder takes text=NAME, label=NAME, splits=NAME, each once"):
        registry.make_task(f"text_folder:{argument}")


def test_images_are_named_by_a_csv_file(tmp_path):
    lines = ["file,animal"]
    for number in range(8):
        (tmp_path / f"{number}.png").write_bytes(png(noise(number)))
        lines.append(f"{number}.png,{['cat', 'dog'][number % 2]}")
    (tmp_path / "list.csv").write_text("\n".join(lines), encoding="utf-8")
    found = load("image_folder:image=file+label=animal", tmp_path)
    assert found.classes == ("cat", "dog")
    assert found.support.inputs[0]["input"].size == noise(0).size
    (tmp_path / "3.png").unlink()
    with pytest.raises(DataError, match=r"1 images without bytes whose files are not found .* row 3 \(3\.png\)"):
        load("image_folder:image=file+label=animal", tmp_path)


class TestTextFile:
    @pytest.fixture
    def documents(self, tmp_path):
        for number in range(5):
            (tmp_path / f"{number}.txt").write_text(f"document {number}", encoding="utf-8")
        (tmp_path / "copy.md").write_text("document  3", encoding="utf-8")
        return tmp_path

    def test_half_of_the_documents_are_held_out_and_named(self, documents):
        found = load("text_file", documents)
        assert sorted(texts(found.support) + texts(found.query)) == sorted(
            f"document {each}" for each in [0, 1, 2, 4, 3]
        )
        (note,) = found.notes
        assert note.startswith(f"2 of 5 documents in {documents} are held out for queries: ")
        assert "1 are copies" in note
        named = note.partition("queries: ")[2].partition(";")[0].split(", ")
        assert [(documents / name).read_text() for name in named] == texts(found.query)

    def test_one_document_is_cut_at_the_paragraph_in_its_middle(self, tmp_path):
        (tmp_path / "book.txt").write_text("one\n\ntwo two\n\nthree\n\nfour", encoding="utf-8")
        found = load("text_file", tmp_path)
        assert (texts(found.support), texts(found.query)) == (["one\n\ntwo two"], ["three\n\nfour"])
        assert "the second half of book.txt" in found.notes[0]

    @pytest.mark.parametrize("table", [False, True])
    def test_named_splits_are_kept(self, tmp_path, table):
        for name in ("train", "test"):
            if table:
                write_rows(tmp_path / f"{name}.parquet", [f"{name} 0", f"{name} 1"], [0, 0], text="body")
            else:
                (tmp_path / name).mkdir()
                for number in range(2):
                    (tmp_path / name / f"{number}.txt").write_text(f"{name} {number}", encoding="utf-8")
        found = load("text_file:text=body" if table else "text_file", tmp_path)
        assert (texts(found.support), texts(found.query)) == (["train 0", "train 1"], ["test 0", "test 1"])
        assert found.notes == ()

    def test_what_cannot_be_read_is_one_line(self, documents):
        (documents / "empty.txt").write_text("\n")
        with pytest.raises(DataError, match=r"1 documents are empty: empty\.txt; fill or remove them"):
            load("text_file", documents)
        (documents / "train").mkdir()
        (documents / "train" / "0.txt").write_text("0")
        with pytest.raises(DataError, match=r"needs tables, folders or text files in .*, got train beside 0\.txt"):
            load("text_file", documents)
        (documents / "none").mkdir()
        with pytest.raises(DataError, match=r"text_file found no documents in .*; it needs DIR"):
            load("text_file", documents / "none")
        with pytest.raises(DataError, match="reads your own documents: give --data DIR"):
            load("text_file", None)


class TestHub:
    @pytest.fixture
    def hub(self, monkeypatch, tmp_path):
        with running_hub(monkeypatch, tmp_path / "hub") as hub:
            yield hub

    @pytest.mark.slow
    def test_any_data_set_is_read_by_its_id(self, hub, tmp_path):
        half = [{**row, "review": f"b {row['review']}"} for row in REVIEWS]
        files = {"data/train-00000-of-00001.jsonl": write(tmp_path / "a.jsonl").read_bytes()}
        files |= {"data/test-00000-of-00001.jsonl": write(tmp_path / "b.jsonl", half).read_bytes()}
        hub.dataset("them/reviews", files | {"data/huge-00000-of-00001.parquet": b"x" * 100})
        found = load("hub:them/reviews+text=review+label=stars", None)
        assert found.classes == (" 1", " 2", " 3")
        assert prompts(found)[1][0] == "Text: b text 0\nLabel:"
        assert not [path for _, path, _ in hub.requests if "huge" in path]
        assert np.bincount(load("hub:them/reviews+text=review+label=stars+splits=test", None).query.labels).sum() == 6
        with pytest.raises(DataError, match="them/reviews has no files of the splits fit and dev"):
            load("hub:them/reviews+text=review+label=stars+splits=fit/dev", None)

    @pytest.mark.slow
    def test_one_of_several_configs_is_chosen(self, hub, tmp_path):
        content = write_rows(tmp_path / "x.parquet", list("abcdef"), [0, 1] * 3).read_bytes()
        hub.dataset("them/two", {f"{config}/train/0000.parquet": content for config in ("en", "de")})
        with pytest.raises(DataError, match="several configs; choose one of config=de, config=en"):
            load("hub:them/two+splits=train", None)
        assert load("hub:them/two+splits=train+config=de", None).classes == (" 0", " 1")
        with pytest.raises(UsageError, match="task hub needs the id of a data set, such as hub:ORG/NAME, got 'two'"):
            registry.make_task("hub:two")
