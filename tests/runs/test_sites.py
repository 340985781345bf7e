"""One name per method at two sites, by the command line on stand-ins: names, records and tables."""

import json

import pytest

from bench import registry
from bench.runs.runner import same_process
from tests.helpers.stand_ins import small_tasks, stand_in

pytestmark = pytest.mark.slow

QUICK = ("--logger", "none", "--measure-in", "inline", "--accelerator", "cpu")


@pytest.fixture
def bench(tmp_path, monkeypatch, in_process, cache):
    """``bench ...`` on stand-ins in a folder of its own; returns what it printed."""
    monkeypatch.chdir(tmp_path)
    small_tasks(monkeypatch)
    monkeypatch.setattr(registry, "make_backbone", stand_in)
    monkeypatch.setattr("bench.runs.runner.fresh_processes", same_process)

    def command(line):
        words = line.split()
        code, out, err = in_process(*words, *(QUICK if words[0] == "run" else ()))
        assert code == 0, err
        return out

    return command


@pytest.fixture
def records(tmp_path):
    """All records of the store."""
    return lambda: [json.loads(path.read_text()) for path in sorted((tmp_path / "runs").glob("*.json"))]


@pytest.mark.parametrize(
    ("task", "site", "metric"),
    [("wikitext103", "hidden_states", "perplexity"), ("digits", "features", "accuracy")],
)
def test_one_name_serves_a_perplexity_task_and_an_image_task(bench, records, task, site, metric):
    bench(f"run --task {task} --method faast")
    assert records()
    for record in records():
        assert (record["status"], record["metric"]) == ("ok", metric)
        assert (record["spec"]["method"], record["spec"]["config"]) == ("faast", {})
        assert record["identity"]["site"] == site


def test_a_table_over_an_image_task_and_a_perplexity_task_ranks_a_method_in_one_row(bench):
    bench("run --task digits,wikitext103 --method faast,ridge,softmax_memory --shots 5")
    text = bench("leaderboard --format markdown")
    assert "Over 2 tasks, mean rank" in text
    ranks = text[text.index("mean rank") :]
    assert all(f"{name} " in ranks for name in ("faast", "ridge", "softmax_memory"))
    assert "@" not in text


def test_a_name_of_the_first_edition_is_skipped_where_its_site_serves_no_such_task(bench, records):
    bench("run --task digits --method faast_lm,faast --shots 5")
    by_status = {record["status"]: record for record in records()}
    assert by_status.keys() == {"ok", "skipped"}
    assert by_status["skipped"]["reason"].startswith("faast@hidden_states serves language_modelling, ")
    assert by_status["skipped"]["reason"].endswith("; digits is image_classification")
    planned = bench("run --task digits --method ridge_lm --shots 5 --dry-run")
    assert "1 run: 1 skipped" in planned


def test_all_names_of_a_site_are_one_run(bench, records):
    bench("run --task lexicon --method faast --set faast.site=hidden_states --shots 5")
    (record,) = records()
    assert record["spec"]["config"] == {"site": "hidden_states"}
    assert record["identity"]["site"] == "hidden_states"
    for name in ("faast@hidden_states", "faast_lm"):
        bench(f"run --task lexicon --method {name} --shots 5")
    assert records() == [record]
    bench("run --task lexicon --method faast,faast_lm --shots 5")
    assert sorted(row["method"] for row in json.loads(bench("leaderboard --format json"))) == [
        "faast", "faast@hidden_states"
    ]  # fmt: skip
    assert "faast@hidden_states" in bench("compare faast@hidden_states faast")


def test_fields_under_an_old_name_reach_the_run(bench, records):
    bench("run --task wikitext103 --method faast_lm --shots 5 --set faast_lm.alpha=0.5")
    bench("run --task wikitext103 --method faast --shots 5 --set faast.site=hidden_states --set faast.alpha=0.5")
    (record,) = records()
    assert (record["spec"]["method"], record["spec"]["config"]) == ("faast", {"alpha": 0.5})
