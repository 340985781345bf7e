"""Records: whole or not at all, checked when read, named by everything that changes the value."""

import errno
import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from bench.contracts import StoreError
from bench.contracts.errors import BenchWarning
from bench.results.prune import unnamed
from bench.results.record import SCHEMA_VERSION, run_id
from bench.results.record_text import record_schema
from bench.results.store import Store
from tests.helpers.places import ROOT
from tests.helpers.records import answered, record, rewrite


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "deep" / "store")


def test_a_record_reads_back_to_the_last_digit(store):
    written = record()
    store.write(written)
    assert store.read(store.path(written.id)) == written
    assert list(store) == [written]
    assert store.finished(written.id) == written
    assert written.costs.peak_memory_mb == 7.0


@pytest.mark.parametrize("status", ["ok", "over_budget", "skipped", "failed"])
def test_only_a_failed_run_is_not_finished(store, status):
    written = record(status=status)
    assert store.finished(written.id) is None
    store.write(written)
    assert (store.finished(written.id) is None) == (status == "failed")


@pytest.mark.parametrize("worse", ["failed", "skipped", "over_budget"])
def test_a_worse_result_of_the_same_run_is_kept_beside_the_better_one(store, worse):
    good = store.write(record(), answered())
    for _ in range(2):
        attempt = record(status=worse, reason="interrupted", value=None, episode_scores=[], n_queries=0)
        store.write(attempt)
    assert list(store) == [good]
    assert store.finished(good.id) == good
    assert len(store.predictions(good)) == 6
    assert [store.read(path).status for path in store.attempts()] == [worse, worse]
    assert unnamed(store, store) == []


def test_files_that_are_no_records_are_passed_over_and_named_once(store):
    good = store.write(record(), answered())
    (store.root / "board.json").write_text("{}")
    (store.root / "package.json").write_text("[1, 2")
    (store.root / "0123456789abcdef.json").mkdir()
    damaged = store.root / "0123456789abcdee.json"
    damaged.write_text("")
    assert store.paths() == sorted([damaged, store.root / "0123456789abcdef.json", store.path(good.id)])
    with pytest.warns(BenchWarning, match="passed over") as warned:
        assert list(store) == [good]
    lines = [str(warning.message) for warning in warned]
    assert len(lines) == 2
    assert "0123456789abcdee.json is not a readable record" in lines[0]
    assert "0123456789abcdef.json cannot be read" in lines[1]
    assert "delete" not in lines[1]


def test_damaged_predictions_are_written_again(store):
    good = store.write(record(), answered())
    path = store.predictions_path(good.predictions)
    path.write_bytes(path.read_bytes()[:20])
    store.path(good.id).unlink()
    store.write(record(), answered())
    assert len(store.predictions(good)) == 6


def test_a_second_try_takes_the_place_of_the_failed_one(store):
    store.write(record(status="failed", reason="no"))
    store.write(record())
    assert [one.status for one in store] == ["ok"]


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_crash_before_the_file_has_its_name_leaves_the_old_one_and_no_half(store, monkeypatch, fault):
    store.write(record(value=1.0))

    def crash(self, target):
        raise fault

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises((StoreError, KeyboardInterrupt)) as caught:
        store.write(record(value=2.0))
    if isinstance(fault, OSError):
        assert "No space left on device" in str(caught.value)
        assert str(store.root) in str(caught.value)
    monkeypatch.undo()
    assert [one.value for one in store] == [1.0]
    assert len(list(store.root.iterdir())) == 1


def _write_and_die(root):
    os.fsync = lambda descriptor: os._exit(9)
    Store(root).write(record(value=2.0))


def test_a_process_killed_while_it_writes_leaves_no_half_record(store):
    store.write(record(value=1.0))
    process = multiprocessing.get_context("fork").Process(target=_write_and_die, args=(store.root,))
    process.start()
    process.join(30)
    assert process.exitcode == 9
    assert [one.value for one in store] == [1.0]


def test_predictions_are_kept_beside_their_record(store):
    written = store.write(record(), answered())
    back = store.read(store.path(written.id))
    assert back == written
    assert back.predictions.name.startswith(written.id)
    assert store.predictions(back).episode_scores() == back.episode_scores
    assert store.predictions(record()) is None


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_predictions_that_are_not_those_of_the_record_are_named(store, spoil):
    written = store.write(record(), answered())
    spoil(store.predictions_path(written.predictions))
    with pytest.raises(StoreError, match=rf"{written.predictions.name} does not hold .* delete {written.id}.json"):
        store.predictions(written)


def test_a_record_that_cannot_be_written_leaves_no_predictions(store, monkeypatch):
    first = store.write(record(), answered())
    replace = Path.replace

    def full(self, target):
        if target.suffix == ".json":
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    # The same predictions are those of the record that is there; others belong to nobody.
    for again in (answered(), answered((0, 0, 0, 1, 1, 1))):
        with pytest.raises(StoreError, match="No space left on device"):
            store.write(record(value=1.0), again)
    assert list(store) == [first]
    assert [path.name for path in (store.root / "predictions").iterdir()] == [first.predictions.name]


@pytest.mark.parametrize("name", ["../../secret.parquet", "/etc/passwd", "0123456789abcdef.json"])
def test_a_record_names_no_file_outside_its_store(store, name):
    path = edited(store, predictions={"name": name, "sha256": "0" * 64})
    with pytest.raises(StoreError, match=r"is not a valid record: predictions.name"):
        store.read(path)


def _write_for_ever(root):
    rng = random.Random(0)
    while True:
        Store(root).write(record(identity={"seed": rng.randrange(5)}), answered(rng.choices([0, 1], k=6)))


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_records_with_their_own_predictions(store):
    """Twenty writers are killed by SIGKILL, each after a time of its own."""
    delays = random.Random(1)
    seen = 0
    for _ in range(20):
        process = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(store.root,))
        process.start()
        time.sleep(delays.uniform(0.005, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.join(30)
        assert process.exitcode == -signal.SIGKILL
        if list(store.root.glob("*.json")):
            for one in store:
                assert len(store.predictions(one)) == 6
                seen += 1
    assert seen > 20


def _write_many(root, value):
    for _ in range(50):
        Store(root).write(record(value=value))


@pytest.mark.slow
def test_two_processes_may_write_the_same_run(store):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(store.root, float(value))) for value in (1, 2)]
    for writer in writers:
        writer.start()
    identity = record().id
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if store.path(identity).exists():
            seen.add(store.read(store.path(identity)).value)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert seen <= {1.0, 2.0}
    assert len(list(store)) == 1


def edited(store, **changes):
    store.write(record())
    path = store.path(record().id)
    rewrite(path, **changes)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 7}, "has schema version 7, this program reads 6"),
        ({"schema_version": None}, "has schema version None"),
        ({"value": "high"}, "is not a valid record: value: .*valid number"),
        ({"status": "fine"}, "is not a valid record: status"),
        ({"extra": 1}, "is not a valid record: extra"),
        ({"costs": {}}, "is not a valid record: costs.encode"),
        ({"id": "0123456789abcdef"}, "is named by another id than its run has"),
        ({"identity": {"seed": 7}}, "is named by another id than its run has"),
    ],
)
def test_a_record_that_was_tampered_with_is_named(store, changes, message):
    path = edited(store, **changes)
    for read in (lambda: store.read(path), lambda: store.finished(record().id)):
        with pytest.raises(StoreError, match=message) as caught:
            read()
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"text"'])
def test_a_file_that_is_no_record_is_named(store, content):
    store.write(record())
    path = store.path(record().id)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=str(path)):
        store.read(path)


def test_a_store_without_records_is_said_to_be_so(store):
    with pytest.raises(StoreError, match=r"no records in .*bench run"):
        list(store)
    store.prepare()
    with pytest.raises(StoreError, match="no records in"):
        list(store)
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_full_disk_is_found_before_any_work(store, monkeypatch, fault):
    def full(descriptor):
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(os, "fsync", full)
    store.root.mkdir(parents=True)
    with pytest.raises(StoreError, match=rf"no record can be written to .*: {os.strerror(fault)}; free space or use"):
        store.prepare()
    assert list(store.root.iterdir()) == []


def test_the_next_start_removes_what_a_killed_writer_left(store):
    good = store.write(record(), answered())
    for folder in (store.root, store.root / "predictions"):
        (folder / f".bench-{'0' * 32}.tmp").write_text("half")
    (store.root / ".notes.tmp").write_text("mine")
    store.prepare()
    assert unnamed(store, [good]) == []
    assert sorted(path.name for path in store.root.iterdir()) == [".notes.tmp", f"{good.id}.json", "predictions"]


def test_a_store_that_cannot_be_written_is_found_out_at_once(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="use --store DIR"):
        Store(tmp_path / "file" / "store").prepare()


def test_the_published_schema_is_that_of_records():
    published = ROOT / "docs" / "record.schema.json"
    assert json.loads(published.read_text()) == record_schema(), "run: bench records schema"
    assert record_schema()["properties"]["schema_version"]["const"] == SCHEMA_VERSION


IDENTITY = record().identity


@pytest.mark.parametrize("field", sorted(IDENTITY))
def test_every_field_of_the_identity_names_the_run(field):
    assert run_id({**IDENTITY, field: "another"}) != run_id(IDENTITY)
    assert run_id({name: value for name, value in IDENTITY.items() if name != field}) != run_id(IDENTITY)


def test_the_order_of_fields_does_not_name_the_run():
    assert run_id(dict(reversed(IDENTITY.items()))) == run_id(IDENTITY)
