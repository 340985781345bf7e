"""``bench errors``: queries that are wrong most often, with text or thumbnail, and the confusion matrix."""

import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import bench
from bench.contracts import UsageError
from bench.registry import make_task
from bench.results.predictions import ClassPredictions, QueryPredictions
from bench.results.record import run_id
from bench.results.store import Store
from tests.helpers.records import made
from tests.helpers.tables import compact

CLASSES = ("calm", "loud <b>")
TEXTS = {"calm": ("soft", "still", "hush", "mild"), "loud <b>": ("bang", "boom", "roar", "yell")}


@pytest.fixture
def texts(tmp_path):
    """A user's own texts, each class halved."""
    rows = [json.dumps({"text": text, "label": name}) for name in CLASSES for text in TEXTS[name]]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "all.jsonl").write_text("\n".join(rows))
    return tmp_path / "data"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def keep(store, data, predicted, true, task="text_folder", classes=CLASSES, **spec):
    """A record of one episode over all queries of a task, with or without predicted classes."""
    loaded = make_task(task).load(data)
    right = [float(one == other) for one, other in zip(predicted, true, strict=True)]
    given = None if classes is None else ClassPredictions(classes, np.array(true), np.array(predicted))
    kept = QueryPredictions.of("accuracy", [np.arange(len(right))], [np.array(right)[:, None]], given)
    fields = {"task": task, "method": "faast", "config": {}, "queries": None, "episodes": 1} | spec
    record = made(fields, value=100 * float(np.mean(right)), episode_scores=kept.episode_scores(), n_queries=len(right))
    identity = {**record.identity, "data": loaded.revision}
    return store.write(record.model_copy(update={"identity": identity, "id": run_id(identity)}), kept)


@pytest.fixture
def filled(store, texts):
    """Three runs: query 0 is wrong in all of them, query 2 in one."""
    true = make_task("text_folder").load(texts).query.labels.tolist()
    assert len(true) == 4
    for seed, wrong in enumerate(([0], [0, 2], [0])):
        answers = [1 - label if query in wrong else label for query, label in enumerate(true)]
        keep(store, texts, answers, true, seed=seed)
    return store, texts, true


def test_queries_are_listed_with_text_label_and_predictions(filled):
    store, texts, true = filled
    found = bench.errors("faast", task="text_folder", store=store.root, data=texts)
    assert [(one.query, one.wrong, one.answers) for one in found] == [(0, 3, 3), (2, 1, 3)]
    loaded = make_task("text_folder").load(texts)
    assert found[0].item == loaded.query.inputs[0]["input"]
    assert found[0].label == CLASSES[true[0]]
    assert found[0].predictions == {CLASSES[1 - true[0]]: 3}
    assert (found.report.wrong, found.report.answers, found.report.queries) == (4, 12, 4)
    assert found.confusion.classes == CLASSES
    counts = found.confusion.counts
    assert counts.sum() == 12
    assert counts.sum() - np.trace(counts) == 4
    assert counts[true[0], 1 - true[0]] >= 3
    assert len(bench.errors("faast", store=store.root, data=texts, top=1)) == 1


def test_every_format_has_the_errors_and_the_matrix(filled, in_process, tmp_path):
    store, texts, true = filled
    words = ["errors", "faast", "--task", "text_folder", "--store", store.root, "--data", texts, "--confusion"]
    label = CLASSES[true[0]]
    code, out, err = in_process(*words)
    assert (code, err) == (0, "")
    assert "3 of 3" in out
    assert "4 of 12 answers are wrong, to 4 queries in 3 runs" in " ".join(out.split())
    out = compact(in_process(*words, "--format", "markdown")[1])
    assert "| wrong | item | label | predictions | row |" in out
    assert "&lt;b&gt;" in out
    found = json.loads(in_process(*words, "--format", "json")[1])
    assert (found["errors"][0]["label"], found["confusion"]["classes"]) == (label, list(CLASSES))
    rows = list(csv.DictReader(io.StringIO(in_process(*words, "--format", "csv")[1])))
    assert sum(int(row["answers"]) for row in rows) == 12
    page = tmp_path / "errors.html"
    assert in_process(*words, "--format", "html", "--out", page) == (0, "", "")
    text = page.read_text(encoding="utf-8")
    assert "loud &lt;b&gt;" in text
    assert "<b>" not in text


def test_images_are_thumbnails_and_named_by_their_file(store, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for number in range(2):
            path = tmp_path / "data" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (200, 300, 3), dtype=np.uint8)).save(path)
    data = tmp_path / "data"
    true = make_task("image_folder").load(data).query.labels.tolist()
    keep(store, data, [1, 1], true, task="image_folder", classes=("cat", "dog"))
    found = bench.errors("faast", store=store.root, data=data)
    assert re.fullmatch(r"cat/\d\.png", found[0].item)
    (source,) = re.findall(r'<img src="(data:image/png;base64,[^"]+)"', found.table("html"))
    assert len(source) < 60_000


def test_columns_and_splits_are_those_of_the_run(store, in_process, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    rows = [json.dumps({"review": text, "stars": name}) for name in CLASSES for text in TEXTS[name]]
    (data / "spare.jsonl").write_text("\n".join(rows))
    task = "text_folder:text=review+label=stars+splits=spare"
    true = make_task(task).load(data).query.labels.tolist()
    keep(store, data, [1 - each for each in true], true, task=task)
    words = ["--columns", "text=review,label=stars", "--splits", "spare", "--store", store.root, "--data", data]
    code, out, err = in_process("errors", "faast", "--task", "text_folder", *words, "--format", "json")
    assert (code, err) == (0, "")
    assert (json.loads(out)["task"], len(json.loads(out)["errors"])) == (task, len(true))
    code, _, err = in_process("errors", "faast", *words)
    assert (code, err) == (2, "bench: columns and splits are of a task: name it too, such as --task text_folder\n")


def test_what_cannot_be_reported_is_one_line(filled, in_process, tmp_path):
    store, texts, true = filled
    keep(store, texts, true, true, backbone="other")
    keep(store, texts, [1 - each for each in true], true, classes=None, method="old")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "all.jsonl").write_text(
        "\n".join(json.dumps({"text": f"{name} {n}", "label": name}) for name in "ab" for n in range(4))
    )

    def said(*words, data=texts):
        code, out, err = in_process("errors", *words, "--store", store.root, "--data", data)
        assert code in {1, 2}, out
        assert err.count("\n") == 1
        return err

    assert "faast on text_folder has runs on several backbones; choose one by --backbone: b, other" in said("faast")
    assert "no method 'faas' with scores in the store" in said("faas")
    assert "no task 'digits' in the store" in said("faast", "--task", "digits")
    assert "no scored run of faast at 20 shots is in the store" in said("faast", "--shots", "20")
    assert "are not those of the runs" in said("faast", "--backbone", "b", data=tmp_path / "more")
    assert "are of earlier programs and have no predicted classes" in said("old", "--confusion")
    assert len(bench.errors("old", store=store.root, data=texts)) == 4
    assert "errors: top" in said("faast", "--top", "0")


def test_a_task_without_classes_is_refused(store):
    store.write(made({"task": "pydoc_text", "method": "faast", "config": {}}, metric="perplexity"))
    with pytest.raises(UsageError, match="errors are of tasks with classes; pydoc_text is language_modelling"):
        bench.errors("faast", store=store.root)
