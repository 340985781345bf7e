"""Records of earlier schemas read as the present one has them."""

import json
import shutil
from pathlib import Path

import pytest

from bench.reports.rows import rows
from bench.reports.tables import as_markdown
from bench.results.identity import device_kind_of, protocol_of
from bench.results.migrations import MIGRATIONS
from bench.results.prune import unnamed
from bench.results.record import SCHEMA_VERSION, run_id
from bench.results.shared_episodes import paired
from bench.results.store import Store
from bench.results.verify import problems, without_digest
from bench.toolkit.versions import PROTOCOL
from tests.helpers.tables import compact

OLD = Path(__file__).parent / "old_records"


@pytest.mark.parametrize("version", range(1, 5))
def test_a_record_of_an_earlier_schema_reads_as_one_of_this(version):
    (path,) = OLD.glob(f"{version}/*.json")
    old = json.loads(path.read_text())
    assert old["schema_version"] == version
    record = Store(path.parent).read(path)
    assert record.schema_version == SCHEMA_VERSION
    for name in ("id", "identity", "status", "value", "episode_scores", "n_queries", "provenance", "notes"):
        assert getattr(record, name) == old[name]
    # A half-width is two ends now, inside the bounds of the metric.
    assert record.ci_low == max(0.0, old["value"] - old["ci95"])
    assert record.ci_high == min(100.0, old["value"] + old["ci95"])
    assert protocol_of(record.identity) == 1
    predictions = Store(path.parent).predictions(record)
    if version < 3:
        assert predictions is None
    else:
        assert predictions.episode_scores() == record.episode_scores


def test_a_record_of_version_5_reads_as_it_is_and_has_no_digest():
    (path,) = OLD.glob("5/*.json")
    store = Store(path.parent)
    record, old = store.read(path), json.loads(path.read_text())
    # What came later is at its default: prompts had one form, a run had one task and was no quick look.
    budget = old["spec"]["budget"] | {"seconds_per_query": None}
    later = {
        "schema_version": SCHEMA_VERSION, "stages": [],
        "spec": old["spec"] | {"template": 0, "limit": None, "budget": budget},
    }  # fmt: skip
    assert json.loads(record.model_dump_json()) == old | later
    assert (list(problems(store)), without_digest(store)) == ([], 1)


def test_costs_of_version_1_are_split_by_stage():
    (path,) = OLD.glob("1/*.json")
    old, record = json.loads(path.read_text())["costs"], Store(path.parent).read(path)
    assert record.costs.encode.seconds == old["encode_seconds"]
    assert record.costs.adapt.seconds == old["adapt_seconds"]
    assert record.costs.query_milliseconds == pytest.approx(old["query_milliseconds"])
    assert record.costs.peak_memory_mb == max(value for name, value in old.items() if "peak_memory" in name)
    assert record.costs.process == "same"  # costs were not measured in processes of their own then


def test_costs_of_version_2_stay():
    (path,) = OLD.glob("2/*.json")
    read = json.loads(Store(path.parent).read(path).costs.model_dump_json())
    old = json.loads(path.read_text())["costs"]
    # What came later is at its default: nobody had searched, and nobody looked at what else the host did.
    later = {"tuning_trials": 0, "tuning_seconds": 0.0, "device": "cpu", "measured_for": "", "conditions": None}
    later_of_a_stage = {"seconds_low": None, "seconds_high": None, "conditions": None}
    stages = {name: old[name] | later_of_a_stage for name in ("encode", "adapt", "query")}
    assert read == old | later | stages


def test_a_record_of_version_1_without_costs_reads(tmp_path):
    (path,) = OLD.glob("1/*.json")
    without = tmp_path / path.name
    without.write_text(json.dumps(json.loads(path.read_text()) | {"costs": None}))
    assert Store(tmp_path).read(without).costs is None


def test_a_store_of_the_first_edition_is_read_and_tidied(tmp_path):
    shutil.copytree(OLD / "3", tmp_path / "runs")
    store = Store(tmp_path / "runs")
    (record,) = store
    assert store.predictions_path(record.predictions).parent.name == "outcomes"
    assert unnamed(store, store) == []
    again = store.write(record, store.predictions(record))
    assert store.predictions_path(again.predictions).parent.name == "outcomes"
    assert unnamed(store, store) == []
    assert list(problems(store)) == []


def test_a_record_of_another_protocol_is_named_and_not_pooled():
    (path,) = OLD.glob("3/*.json")
    old = Store(path.parent).read(path)

    def present(seed):
        spec = old.spec.model_copy(update={"seed": seed})
        identity = {**old.identity, "seed": seed, "protocol": PROTOCOL}
        changes = {"id": run_id(identity), "spec": spec, "identity": identity, "provenance": {"finished": "2020"}}
        return old.model_copy(update=changes)

    (row,) = rows([old])
    assert row.protocol == 1
    assert "| protocol |" in compact(as_markdown([row]))
    # The older record was finished later: what counts is the protocol.
    (row,) = rows([old, present(0), present(1)])
    assert (row.protocol, row.runs) == (PROTOCOL, (present(0).id, present(1).id))
    assert "protocol" not in compact(as_markdown([row]))
    # Nor are rows of two protocols compared with each other.
    other = present(0).model_copy(update={"spec": old.spec.model_copy(update={"method": "knn"})})
    assert [(row.protocol, row.tier) for row in rows([old, other])] == [(1, None), (PROTOCOL, None)]
    assert paired([old], [other], Store(path.parent).predictions) is None


def test_the_kind_of_device_of_an_old_record_is_known():
    assert device_kind_of({"device": "NVIDIA A100-SXM4-80GB"}) == "cuda"
    assert device_kind_of({"device": "cpu"}) == "cpu"
    assert device_kind_of({"device": "xpu", "protocol": PROTOCOL}) == "xpu"


@pytest.mark.parametrize(
    ("method", "metric", "present", "config"),
    [
        ("faast_lm", "perplexity", "faast", {"alpha": 0.5}),
        ("faast_lm", "accuracy", "faast", {"site": "hidden_states", "alpha": 0.5}),
        ("softmax_memory_lm", "accuracy", "softmax_memory", {"site": "hidden_states", "alpha": 0.5}),
        ("knn_lm", "perplexity", "knn_lm", {"alpha": 0.5}),
    ],
)
def test_methods_of_the_first_edition_have_their_present_names(method, metric, present, config):
    (path,) = OLD.glob("3/*.json")
    old = json.loads(path.read_text())
    match = {"method": method, "axes": ["state_mb"], "config": {"prior_count": 3}}
    spec = {**old["spec"], "method": method, "config": {"alpha": 0.5}, "match": match}
    read = MIGRATIONS[3]({**old, "metric": metric, "spec": spec})
    assert (read["spec"]["method"], read["spec"]["config"]) == (present, config)
    site = {name: value for name, value in config.items() if name == "site"}
    assert (read["spec"]["match"]["method"], read["spec"]["match"]["config"]) == (present, site | {"prior_strength": 3})
    assert read["identity"] == old["identity"]
    # Where there is no score, the task says what kind it is.
    failed = {**old, "status": "failed", "spec": {**spec, "task": "wikitext103"}}
    assert MIGRATIONS[3](failed)["spec"]["config"] == {"alpha": 0.5}
