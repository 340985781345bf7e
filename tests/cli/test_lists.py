"""``bench list`` and ``bench show``: what there is, of which kinds, and what a plugin says of itself."""

import json

import pytest

from bench import registry
from bench.plugin import Plugin


@pytest.mark.slow
@pytest.mark.parametrize("what", ["methods", "tasks", "backbones", "metrics", "suites", "claims"])
def test_list(bench, what):
    code, plain, err = bench("list", what)
    assert (code, err) == (0, "")
    code, text, err = bench("list", what, "--json")
    assert (code, err) == (0, "")
    entries = json.loads(text)
    assert [entry["name"] for entry in entries] == [line.split()[0] for line in plain.splitlines()]
    for entry, line in zip(entries, plain.splitlines(), strict=True):
        assert entry.keys() - {"sites", "kinds", "family"} == {"name", "summary", "origin"}
        assert ("sites" in entry) == ("family" in entry) == (what == "methods")
        assert bool(entry.get("kinds")) == (what not in {"suites", "claims"})
        assert ", ".join(entry.get("sites", ())) in line
        assert entry["summary"]
        assert entry["summary"] in line
    expected = {
        "methods": "faast", "tasks": "digits", "backbones": "smollm2_135m", "metrics": "bleu", "suites": "quickstart",
        "claims": "faast/memory",
    }  # fmt: skip
    assert expected[what] in {entry["name"] for entry in entries}


def test_a_list_can_be_of_a_kind_of_task_or_a_family(bench):
    code, out, _ = bench("list", "methods", "--kind", "language_modelling", "--family", "closed_form")
    names = {line.split()[0] for line in out.splitlines()}
    assert code == 0
    assert {"faast", "ridge", "hebbian"} <= names
    assert names.isdisjoint({"knn_lm", "gda", "lora"})
    assert "iwslt2017:de-en" in bench("list", "tasks", "--kind", "text_generation")[1]
    for words, message in (
        (["methods", "--kind", "images"], "no kind of task 'images'; "),
        (["methods", "--family", "closed"], "no family of methods 'closed'; did you mean 'closed_form'?"),
        (["tasks", "--family", "memory"], "families are of methods, not of tasks"),
    ):
        code, _, err = bench("list", *words)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err


def test_a_list_has_the_kinds_of_task(bench):
    def kinds(what):
        lines = bench("list", what)[1].splitlines()
        return {line.split()[0]: line.rpartition("[")[2].removesuffix("]") for line in lines}

    methods = kinds("methods")
    assert methods["zero_shot"] == "any kind"
    assert methods["knn"] == "classification"
    assert methods["in_context"] == "text_classification, text_generation"
    assert methods["in_place_ttt"] == "language_modelling, text_classification"
    assert methods["fast_slow"] == "text_classification"
    tasks = kinds("tasks")
    for kind, names in (
        ("text_generation", ["iwslt2017:de-en", "flores200", "gsm8k", "longicl:fewnerd", "longicl:dialogre"]),
        ("text_classification", ["longicl_choice:discovery", "needle:4096", "associative_retrieval:16"]),
        ("vector_classification", ["recall"]),
    ):
        assert {tasks[name] for name in names} == {kind}
    assert kinds("backbones")["vectors"] == "vector_classification"
    assert kinds("metrics")["perplexity"] == "language_modelling"


def test_show_describes_a_plugin_of_any_kind(bench):
    def shown(name):
        code, out, err = bench("show", name)
        assert (code, err) == (0, ""), err
        return " ".join(out.split())

    faast = shown("faast")
    for part in (
        "faast: method", "family closed_form: sums", "sites features, hidden_states", "paper Bao et al.",
        "kinds at features image_classification, text_classification",
        "alpha=0.8 (number at least 0 and at most 4, or auto; search 0.1 to 2)",
    ):  # fmt: skip
        assert part in faast
    assert "CC BY 4.0" in shown("digits")
    assert "iwslt2017:de-en: German to English" in shown("iwslt2017:de-en")
    assert "135 million parameters, Apache-2.0" in shown("smollm2_135m")
    assert "range 0 to 100" in shown("accuracy")
    (entry,) = json.loads(bench("show", "knn", "--json")[1])
    assert entry["facts"]["family"].startswith("memory: ")
    code, _, err = bench("show", "fasst")
    assert (code, err) == (2, "bench: no method, task, backbone or metric 'fasst'; did you mean 'faast'?\n")


def test_the_size_of_data_is_shown_and_your_own_are_counted(bench, tmp_path):
    assert "50,000 support and 10,000 query images of 10 classes" in bench("show", "cifar10")[1]
    assert "--count --data DIR reads and counts them" in bench("show", "text_folder")[1]
    lines = ["stars,review", *(f"{['one', 'five'][row % 2]},review number {row}" for row in range(9))]
    (tmp_path / "reviews.csv").write_text("\n".join(lines), encoding="utf-8")
    words = ("show", "text_folder", "--columns", "text=review,label=stars")
    code, out, err = bench(*words, "--count", "--data", tmp_path, "--json")
    assert (code, err) == (0, "")
    (found,) = json.loads(out)
    assert found["facts"]["counted"] == (
        "text_folder:text=review+label=stars: 5 support items (2 to 3 of each class), 4 query items (2 of each class)"
    )
    assert found["facts"]["classes"] == "2: five, one"
    assert found["facts"]["notes"].startswith("half of the 9 texts in ")
    for refused, code, message in (
        (words, 2, "columns and splits are of data that are counted: add --count"),
        (("show", "faast", "--count"), 2, "data are those of a task, and faast is none"),
        (("show", "text_folder", "--count"), 1, "text_folder reads your own texts: give --data DIR"),
        (("show", "text_folder", "--count", "--data", tmp_path), 1, "name them by --columns text=NAME,label=NAME"),
    ):
        found, _, err = bench(*refused)
        assert (found, err.count("\n")) == (code, 1)
        assert message in err


def test_a_broken_package_hides_no_other_plugin(bench, monkeypatch):
    found = {
        **registry.find("methods"),
        "gone": Plugin("gone", "not_installed.here", "PLUGIN", "some-package"),
    }
    monkeypatch.setattr(registry, "find", lambda group: found)
    code, out, _ = bench("list", "methods")
    assert code == 0
    assert "faast" in out
    assert "cannot be used: plugin 'gone' of some-package names a module that is not installed" in out
