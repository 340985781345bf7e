import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.contracts import DataError, TaskData
from bench.testing.tiny_models import save_model
from tasks.text_folder import PLUGIN
from tests.helpers.command import bench
from tests.helpers.text_rows import prompts, write_rows


def load(data: Path) -> TaskData:
    return PLUGIN().load(data)


def write_texts(root: Path, classes: dict[str, int], mark: str = "") -> Path:
    """A folder with the given number of files for each class, no two alike; mark: a word in each."""
    for name, size in classes.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(size):
            (root / name / f"{number}.txt").write_text(f"{name} {mark}{number}\n")
    return root


def write_csv(path: Path, rows: list[str]) -> None:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8-sig")


def test_parquet_with_a_text_that_is_no_utf8_is_refused_by_its_file(tmp_path: Path, cache: Path) -> None:
    content = pa.array([b"good", b"\xff\xfe bad"], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 2, content.buffers())
    for split in ("train", "test"):
        pq.write_table(pa.table({"text": texts, "label": pa.array([0, 1])}), tmp_path / f"{split}.parquet")
    with pytest.raises(DataError, match=r"cannot be read from .*\.parquet: .*UTF8"):
        load(tmp_path)


@pytest.mark.parametrize("inner", [".", "text_folder"])
def test_class_folders_are_halved(tmp_path: Path, inner: str) -> None:
    root = write_texts(tmp_path / inner, {"very_good": 5, "bad": 4})
    (root / "README.md").write_text("beside class folders, other files may lie")
    (root / "bad" / ".hidden").write_text("")
    task = load(tmp_path)
    assert task.classes == (" bad", " very good")
    assert np.bincount(task.support.labels).tolist() == [2, 3]
    assert np.bincount(task.query.labels).tolist() == [2, 2]
    support, query = prompts(task)
    assert {*support, *query} == {
        *(f"Text: very_good {number}\nLabel:" for number in range(5)),
        *(f"Text: bad {number}\nLabel:" for number in range(4)),
    }
    assert all(("good" in prompt) == bool(label) for prompt, label in zip(query, task.query.labels, strict=True))
    again = load(tmp_path)
    assert (again.revision, prompts(again)) == (task.revision, (support, query))
    (root / "bad" / "0.txt").write_text("other")
    assert load(tmp_path).revision != task.revision


def test_train_and_test_folders_are_taken_as_they_are(tmp_path: Path) -> None:
    for split, size in (("train", 3), ("test", 1), ("validation", 2)):
        write_texts(tmp_path / split, {"good": size, "bad": size}, split)
    task = load(tmp_path)
    assert (len(task.support.labels), len(task.query.labels)) == (6, 2)
    assert prompts(task)[1] == ["Text: bad test0\nLabel:", "Text: good test0\nLabel:"]
    write_texts(tmp_path / "test", {"odd": 1})
    with pytest.raises(DataError, match="text_folder needs the same classes in train and test, which differ in odd"):
        load(tmp_path)


def test_each_format_of_table_gives_the_same_prompts(tmp_path: Path) -> None:
    texts = ['one, "two"', "of two\nlines", " and\u2028more ", "null"]
    names = ["no", "yes", "no", "yes"]
    rows = [{"text": text, "label": name, "other": number} for number, (text, name) in enumerate(zip(texts, names))]  # noqa: B905
    found = []
    for kind in ("parquet", "arrow", "csv", "jsonl"):
        data = tmp_path / kind
        data.mkdir()
        if kind == "parquet":
            datasets.Dataset.from_list(rows).to_parquet(data / "train.parquet")
        elif kind == "arrow":
            table = pa.Table.from_pylist(rows)
            with pa.ipc.new_file(str(data / "train.arrow"), table.schema) as writer:
                writer.write_table(table, max_chunksize=3)
        elif kind == "csv":
            quoted = [[row["other"], '"' + str(row["text"]).replace('"', '""') + '"', row["label"]] for row in rows]
            write_csv(data / "train.csv", ["other,text,label", *(",".join(map(str, row)) for row in quoted)])
        else:
            lines = [json.dumps(row, ensure_ascii=False) for row in rows]
            (data / "train.jsonl").write_text("\n\n".join(lines), encoding="utf-8")
        (data / f"test.{kind}").write_bytes((data / f"train.{kind}").read_bytes())
        with pytest.raises(DataError, match="4 are in both"):
            load(data)
        (data / f"train.{kind}").rename(data / f"mine.{kind}")
        (data / f"test.{kind}").unlink()
        task = load(data)
        assert task.classes == (" no", " yes")
        found.append((*prompts(task), task.support.labels.tolist()))
    assert all(each == found[0] for each in found)
    assert {*found[0][0], *found[0][1]} == {f"Text: {text.strip()}\nLabel:" for text in texts}


def test_splits_in_tables_are_taken_as_they_are(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", ["text,label", "a,1", "b,0"])
    write_csv(tmp_path / "test.csv", ["label,text", "0,c", "1,d"])
    write_csv(tmp_path / "validation.csv", ["not", "read"])
    task = load(tmp_path)
    assert prompts(task) == (["Text: a\nLabel:", "Text: b\nLabel:"], ["Text: c\nLabel:", "Text: d\nLabel:"])
    assert (task.support.labels.tolist(), task.query.labels.tolist()) == ([1, 0], [0, 1])
    assert task.classes == (" 0", " 1")


@pytest.mark.parametrize(
    ("feature", "labels", "classes"),
    [
        (datasets.Value("string"), ["b", "a", "b", "a"], (" a", " b")),
        (datasets.Value("int32"), [1, 0, 1, 0], (" 0", " 1")),
        (datasets.ClassLabel(names=["x y", "z"]), [1, 0, 1, 0], (" x y", " z")),
    ],
)
def test_parquet_is_read_with_any_kind_of_label(tmp_path: Path, feature: Any, labels: Any, classes: Any) -> None:
    write_rows(tmp_path / "mine.parquet", ["a", "b", "c", "d"], labels, label=feature)
    task = load(tmp_path)
    assert task.classes == classes
    assert sorted(task.support.labels) == sorted(task.query.labels) == [0, 1]


@pytest.mark.parametrize(
    ("feature", "labels", "message"),
    [
        (datasets.ClassLabel(names=["x", "y"]), [0, 1, 1, -1], r"needs labels in 0\.\.1; .* row 3 with -1"),
        (datasets.Value("string"), ["x", None, "y", "y"], "needs a label in every row, row 1 has none"),
        (datasets.Value("string"), ["x", "y", " ", "y"], "needs a label in every row, row 2 has none"),
        (datasets.Value("float32"), [0, 1, 1, 0], "needs one integer label per row, got float"),
        (datasets.Value("int64"), [0, 0, 0, 0], "needs 2 classes or more, got 0"),
        (datasets.Value("int64"), [0, 0, 0, 1], "needs 2 texts or more of each; '1' has 1"),
        (datasets.Value("string"), ["x", "x ", "x", "x "], "needs 2 classes or more, got x"),
    ],
)
def test_labels_that_cannot_be_used_are_named(tmp_path: Path, feature: Any, labels: Any, message: str) -> None:
    write_rows(tmp_path / "mine.parquet", ["a", "b", "c", "d"], labels, label=feature)
    with pytest.raises(DataError, match=f"text_folder .*{message}"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("csv", "sentence,label\na,0\n", "needs the columns 'text' and 'label', got sentence, label"),
        ("csv", "text;label\na;0\n", "got text;label; name them .*; a CSV file has commas between its fields"),
        ("csv", "text,label\n", "needs a row or more with the columns 'text' and 'label', got none"),
        (
            "csv",
            "text,label\na,0\nb, c,1\n",
            r"line 3 of .*mine\.csv needs 2 fields .* put texts with commas in double",
        ),
        ("csv", "text,label\na,0\nb\n", r"line 3 of .*mine\.csv needs 2 fields as its header has"),
        ("csv", 'text,label\na,0\n"b,1\n', r"mine\.csv cannot be read as CSV after line 2: unexpected end of data"),
        ("csv", "text,label\na,0\n ,1\n", "needs a text in every row; 1 rows have none, the first is row 1 with ' '"),
        (
            "jsonl",
            '{"text": "a", "label": 0}\n{"text": ',
            r"line 2 of .*mine\.jsonl needs a JSON object, got '\{\"text",
        ),
        ("jsonl", "[1, 2]\n", r"line 1 of .*mine\.jsonl needs a JSON object, got '\[1, 2\]'"),
        ("jsonl", "[" * 100_000, r"line 1 of .*mine\.jsonl needs a JSON object, got '\[\["),
        (
            "jsonl",
            '{"text": "\\ud800", "label": 0}',
            r"line 1 of .*mine\.jsonl needs .* surrogates not allowed",
        ),
        ("jsonl", '{"text": "a", "text": "b", "label": 0}', r"line 1 of .*mine\.jsonl .*a key is given twice"),
        ("jsonl", f'{{"text": "a", "label": {10**400}}}', "needs values of one type"),
        ("jsonl", '{"text": "a"}\n', "needs the columns 'text' and 'label', got text"),
        ("jsonl", '{"text": "a", "label": 0}\n{"label": 1}', "needs a text in every row; .* row 1 with None"),
        ("jsonl", '{"text": "a", "label": 0}\n{"text": "b", "label": "x"}', "needs values of one type"),
        ("jsonl", '{"text": "a", "label": 0}\n{"text": 3, "label": 1}', "needs values of one type"),
        ("parquet", "no table", r"cannot be read from .*mine\.parquet"),
    ],
)
def test_tables_that_cannot_be_used_are_one_line(tmp_path: Path, kind: str, content: str, message: str) -> None:
    (tmp_path / f"mine.{kind}").write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_field_of_any_length_is_read(tmp_path: Path) -> None:
    texts = [f"{'word ' * 40_000}{number}" for number in range(4)]
    (tmp_path / "mine.csv").write_text("text,label\n" + "".join(f"{text},{text[-1] > '1'}\n" for text in texts))
    assert max(map(len, load(tmp_path).support.inputs["input"])) > 200_000


def test_other_columns_of_parquet_are_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "mine.parquet", ["a"], [0], text="sentence")
    with pytest.raises(DataError, match="needs the columns 'text' and 'label', got sentence, label"):
        load(tmp_path)


def test_tables_of_two_formats_are_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "one.csv", ["text,label", "a,0"])
    write_rows(tmp_path / "two.parquet", ["b"], [1])
    with pytest.raises(DataError, match=r"text_folder needs files of one format, got one\.csv, two\.parquet"):
        load(tmp_path)


def test_a_text_in_both_pools_is_refused_and_shown(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_texts(tmp_path / split, {"good": 3, "bad": 2})
        (tmp_path / split / "bad" / "own.txt").write_text(split)
    message = "not in both; 5 are in both: 'bad 0' .items 0 and 0., .*, ...; remove the copies"
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    # Of the other class and with other white space around it, it is still the same text.
    for path in (tmp_path / "test").rglob("[0-9].txt"):
        path.unlink()
    write_texts(tmp_path / "test", {"good": 1}, "new")
    assert len(load(tmp_path).query.labels) == 2
    (tmp_path / "test" / "bad" / "copy.txt").write_text("\n  good 2 \n")
    with pytest.raises(DataError, match=r"1 are in both: 'good 2' .items 5 and 0.; remove"):
        load(tmp_path)


def test_files_without_a_text_are_counted_and_named(tmp_path: Path) -> None:
    write_texts(tmp_path, {"good": 3, "bad": 3})
    for name in ("0", "1"):
        (tmp_path / "good" / f"{name}.txt").write_text(" \n")
    with pytest.raises(DataError, match=r"2 text files are empty; fill or remove them: .*good/0\.txt, .*good/1\.txt"):
        load(tmp_path)


def test_what_is_no_text_by_its_name_is_named(tmp_path: Path) -> None:
    write_texts(tmp_path, {"good": 2, "bad": 2})
    (tmp_path / "good" / "scan.pdf").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 entries of class folders are no texts by their names; .*scan\.pdf"):
        load(tmp_path)
    (tmp_path / "good" / "scan.pdf").rename(tmp_path / "lost.txt")
    with pytest.raises(DataError, match=r"1 texts in .* are in no class folder; move them into one: .*lost\.txt"):
        load(tmp_path)


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    write_texts(tmp_path, {"good": 2, "bad": 2})
    (tmp_path / "bad" / "1.txt").write_bytes("schön".encode("latin-1"))
    with pytest.raises(DataError, match=r"bad/1\.txt cannot be read as UTF-8 text: .*; repair or remove it"):
        load(tmp_path)


@pytest.mark.parametrize("data", [None, "empty"])
def test_no_data_names_the_layout(tmp_path: Path, data: str | None) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"DIR/CLASS/\*\.txt.*DIR/train\.FORMAT .* columns text and label"):
        PLUGIN().load(data and tmp_path / "empty")  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_users_texts_run_from_the_command_line(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_texts(tmp_path / "data", {"very_good": 4, "very_bad": 4})
    model = save_model(tmp_path / "model", "llama", context=128)
    words = [
        "run",
        "--task",
        "text_folder",
        "--backbone",
        f"hf:{model}",
        "--data",
        data,
        "--shots",
        1,
        "--queries",
        2,
    ]
    rest = ["--store", tmp_path / "store", "--logger", "none", "--method", "zero_shot", "--method", "knn"]
    ended, _, errors = bench(monkeypatch, capsys, *words, *rest)
    assert ended == 0, errors
    records = [json.loads(path.read_text()) for path in (tmp_path / "store").glob("*.json")]
    assert {record["spec"]["method"]: record["status"] for record in records} == {"zero_shot": "ok", "knn": "ok"}


@pytest.mark.slow
def test_a_text_longer_than_the_model_reads_fails_with_the_numbers(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_texts(tmp_path / "data", {"positive": 2, "negative": 2})
    for path in data.rglob("*.txt"):
        path.write_text(path.read_text() * 40)
    model = save_model(tmp_path / "model", "gpt2")
    words = [
        "run",
        "--task",
        "text_folder",
        "--backbone",
        f"hf:{model}",
        "--data",
        data,
        "--shots",
        1,
        "--queries",
        1,
    ]
    rest = ["--store", tmp_path / "store", "--logger", "none", "--method", "zero_shot", "--method", "knn"]
    assert bench(monkeypatch, capsys, *words, *rest)[0] == 1
    records = [json.loads(path.read_text()) for path in (tmp_path / "store").glob("*.json")]
    reasons = {record["spec"]["method"]: record["reason"] for record in records}
    assert "must fit 64 tokens" in reasons["zero_shot"]
    assert "a prompt must have 1 to 64 tokens, got" in reasons["knn"]
