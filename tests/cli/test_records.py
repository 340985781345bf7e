"""``bench records`` on stores that are whole, damaged by hand, or full of what can go."""

import csv
import json
import re

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bench.results.predictions import ClassPredictions, QueryPredictions
from bench.results.prune import unnamed
from bench.results.record_text import record_schema
from bench.results.store import Store
from tests.helpers.records import answered, made, record, rewrite
from tests.helpers.stores import fill


@pytest.fixture
def records(tmp_path, monkeypatch, in_process):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_STORE", raising=False)

    return lambda *words: in_process("records", *words)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def edit(store, **changes):
    rewrite(store.path(record().id), **changes)


def test_a_sound_store_verifies(records, store):
    fill(store.root)
    assert records("verify") == (0, "18 records, no problems\n", "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": 70.0}, "contradicts its predictions: the record's value is 70.0, that of the predictions 66.66"),
        ({"episode_scores": [100.0, 33.0]}, "the scores of the episodes differ"),
        ({"episode_scores": [100.0]}, "the scores of the episodes differ"),
        ({"n_queries": 5}, "the record has 5 queries, the predictions have 6"),
        ({"metric": "bleu"}, "does not hold the predictions of .*needs the columns episode, query, correct_1"),
        ({"metric": "speed"}, "cannot be scored: no metric .speed.; known: accuracy"),
        ({"schema_version": 9}, "has schema version 9, this program reads 6"),
        ({"status": "fine"}, "is not a valid record: status"),
    ],
)
def test_a_record_edited_by_hand_is_found(records, store, changes, message):
    store.write(record(), answered())
    store.write(made(status="failed", reason="bug", value=None, episode_scores=[], n_queries=0))
    edit(store, **changes)
    code, out, err = records("verify")
    assert (code, err) == (1, "")
    assert re.search(message, out), out
    assert out.endswith("2 records, 1 problem\n")


def test_every_problem_is_reported(records, store):
    fill(store.root, tasks="t")
    files = sorted((store.root / "predictions").iterdir())
    files[0].unlink()
    files[1].write_bytes(files[2].read_bytes())
    store.paths()[5].write_text("{")
    code, out, _ = records("verify")
    assert code == 1
    assert len(out.splitlines()) == 4
    assert out.endswith("9 records, 3 problems\n")


@pytest.mark.parametrize("words", [["verify"], ["export", "--out", "x.csv"], ["export", "--out", "x.csv", "--queries"]])
def test_an_empty_store_is_said_to_be_so(records, words):
    code, out, err = records(*words)
    assert (code, out) == (1, "")
    assert err == "bench: no records in runs; run 'bench run' first, or use --store DIR\n"


def crowded(store):
    """A store with an older version, a failure, and what killed programs leave."""
    old = made(code="old")
    store.write(old, answered())
    store.write(made(code="new", finished="2026-02-01T00:00:00+00:00"), answered())
    store.write(made({"method": "f"}, status="failed", reason="bug", value=None, episode_scores=[], costs=None))
    (store.root / f".bench-{32 * 'a'}.tmp").write_text("{")
    (store.root / "predictions" / f".bench-{32 * 'a'}.tmp").write_text("PAR")
    (store.root / "predictions" / "0123456789abcdef-0123456789abcdef.parquet").write_text("PAR1")
    return old


def test_prune_takes_what_nothing_names(records, store):
    crowded(store)
    before = list(store)
    code, out, _ = records("prune", "--dry-run")
    assert (code, out.splitlines()[-1]) == (0, "3 files would be deleted")
    assert len(unnamed(store, store)) == 3
    assert records("prune")[1].splitlines()[-1] == "3 files deleted"
    assert unnamed(store, store) == []
    assert list(store) == before
    assert records("prune")[1] == "0 files deleted\n"


def test_prune_takes_older_versions_and_failures_on_request(records, store):
    old = crowded(store)
    out = records("prune", "--superseded", "--failed")[1]
    assert f"{old.id}.json: superseded by a later version" in out
    assert ": failed" in out
    (left,) = store
    assert left.identity["code"] == "new"
    assert [path.name for path in (store.root / "predictions").iterdir()] == [left.predictions.name]


def test_prune_leaves_a_damaged_record_and_its_predictions(records, store):
    old = crowded(store)
    store.path(old.id).write_text("{")
    code, out, err = records("prune", "--superseded")
    assert code == 0
    assert "is not a readable record" in err
    assert old.id not in out
    assert store.path(old.id).exists()
    assert list((store.root / "predictions").glob(f"{old.id}-*"))
    assert not (store.root / f".bench-{32 * 'a'}.tmp").exists()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_export_has_a_row_for_each_run(records, store, tmp_path, suffix):
    fill(store.root)
    store.write(made({"method": "f"}, status="failed", reason='said "no",\nthen died', value=None, costs=None))
    assert records("export", "--out", f"all.{suffix}") == (0, f"wrote 19 rows to all.{suffix}\n", "")
    path = tmp_path / f"all.{suffix}"
    if suffix == "csv":
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    else:
        rows = pq.read_table(path).to_pylist()
    by_id = {row["id"]: row for row in rows}
    for one in store:
        row = by_id[one.id]
        assert (row["method"], row["status"], row["reason"]) == (one.spec.method, one.status, one.reason)
        if one.value is not None and one.costs is not None:
            assert float(row["value"]) == one.value
            assert float(row["adapt_seconds"]) == one.costs.adapt.seconds
            assert float(row["peak_memory_mb"]) == one.costs.peak_memory_mb
            assert row["device_model"] == one.costs.device


def test_export_of_queries(records, store, tmp_path):
    written = store.write(record(), answered())
    store.write(made())
    classes = ClassPredictions(("cat", "dog"), np.array([0, 1]), np.array([0, 0]))
    store.write(made({"method": "n"}), QueryPredictions.of("accuracy", [np.array([1, 2])], [[[1], [0]]], classes))
    assert records("export", "--out", "all.parquet", "--queries")[1] == "wrote 8 rows to all.parquet\n"
    table = pq.read_table(tmp_path / "all.parquet")
    own = table.filter(pc.equal(table["method"], "n"))
    assert own["true_class"].to_pylist() == ["cat", "dog"]
    assert own["predicted_class"].to_pylist() == ["cat", "cat"]
    table = table.filter(pc.equal(table["id"], written.id))
    assert table["true_class"].null_count == 6
    assert table["right"].to_pylist() == [1, 1, 1, 1, 0, 0]
    assert table["query"].to_pylist() == [4, 5, 6, 4, 7, 8]
    assert table["nll"].null_count == 6


def test_an_export_that_cannot_be_written_is_one_line(records, store):
    store.write(record())
    code, _, err = records("export", "--out", "all.xlsx")
    assert (code, err) == (2, "bench: --out needs a name that ends in .parquet or .csv, got all.xlsx\n")
    code, _, err = records("export", "--out", "nowhere/all.csv")
    assert code == 1
    assert err.count("\n") == 1
    code, _, err = records("export", "--out", "all.csv", "--queries")
    assert code == 1
    assert "no record in runs has predictions; delete the records to run again" in err


def test_the_schema_is_the_published_one(records):
    assert json.loads(records("schema")[1]) == record_schema()
