"""Records of earlier schemas read as the present one has them."""

import json
from pathlib import Path

import pytest

from bench.results.record import SCHEMA_VERSION
from bench.results.store import Store

OLD = Path(__file__).parent / "old_records"


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_a_record_of_an_earlier_schema_reads_as_one_of_this(version):
    (path,) = OLD.glob(f"{version}/*.json")
    old = json.loads(path.read_text())
    assert old["schema_version"] == version
    record = Store(path.parent).read(path)
    assert record.schema_version == SCHEMA_VERSION
    for name in ("id", "identity", "status", "value", "ci95", "episode_scores", "n_queries", "provenance", "notes"):
        assert getattr(record, name) == old[name]
    assert record.outcomes is None
    assert Store(path.parent).outcomes(record) is None


def test_costs_of_version_1_are_told_by_stage():
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
    # What came later is at its default: nobody had searched.
    later = {"tuning_trials": 0, "tuning_seconds": 0.0}
    assert read == json.loads(path.read_text())["costs"] | later
