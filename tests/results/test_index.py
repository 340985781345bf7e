"""The index of a large store never changes what is read: it is made from the files, and made anew when in doubt."""

import os
import shutil
import sqlite3
import threading
import warnings

import pytest

from bench.api.results import Results
from bench.contracts.errors import BenchWarning, StoreError
from bench.results import index, indexed_records
from bench.results.store import Store
from bench.results.store_files import RECORD
from tests.helpers.big_store import big_store
from tests.helpers.places import ROOT
from tests.helpers.records import rewrite


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return big_store(tmp_path_factory.mktemp("made") / "store", 50, methods=2, episodes=1, queries=20).root


@pytest.fixture
def root(made, tmp_path, monkeypatch):
    """A store of 50 records of two methods that counts as large, and whose files count as old."""
    monkeypatch.setattr(indexed_records, "LEAST_RECORDS", 1)
    monkeypatch.setattr(index, "LEAST_RECORDS", 1)
    monkeypatch.setattr(index, "_SETTLED", 0)
    return shutil.copytree(made, tmp_path / "store")


def board(root):
    """The leaderboard, a comparison, and the problems of reading its records."""
    records, problems = Store(root).scan()
    results = Results(records, root)
    compared = [(one.paired, one.detectable, one.more) for one in results.compare("method0", "method1")]
    return results.table("json"), compared, problems


def fresh(root):
    """The same without any index."""
    (root / index.FILE).unlink(missing_ok=True)
    return board(root)


def refuse(*given):
    raise AssertionError(f"{given} is in the index")


@pytest.mark.slow
def test_boards_from_the_index_are_those_from_the_files(root, monkeypatch):
    first = board(root)
    monkeypatch.setattr(indexed_records, "read_record", refuse)
    monkeypatch.setattr("bench.reports.standings.compare_all", refuse)
    monkeypatch.setattr("bench.reports.known_boards.row_score", refuse)
    monkeypatch.setattr("bench.reports.known_boards.with_detectable", refuse)
    assert board(root) == first
    assert Store(root).all_finished([path.stem for path in Store(root).paths()]) == Store(root).scan()[0]


def test_small_stores_and_files_of_this_moment_are_not_in_an_index(root, monkeypatch):
    monkeypatch.setattr(index, "_SETTLED", 60_000_000_000)
    board(root)
    assert not (root / index.FILE).exists()
    monkeypatch.setattr(index, "_SETTLED", 0)
    monkeypatch.setattr(indexed_records, "LEAST_RECORDS", 51)
    monkeypatch.setattr(index, "LEAST_RECORDS", 51)
    board(root)
    assert not (root / index.FILE).exists()


def change(path):
    rewrite(path, episode_scores=[1.0])


def change_in_secret(path):
    """A change of a file's content alone: its name, size, times and inode stay, as far as a program can set them."""
    before = path.stat()
    text = path.read_text()
    with path.open("r+") as file:
        file.write(text.replace('"revision0"', '"revision9"'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def add(path):
    shutil.copy(path, path.with_name("0" * 16 + ".json"))


def damage(path):
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.slow
@pytest.mark.parametrize("happens", [change, change_in_secret, add, damage, os.unlink])
def test_a_file_that_was_changed_added_damaged_or_removed_is_noticed(root, happens):
    before = board(root)
    happens(Store(root).paths()[3])
    found = board(root)
    assert found == fresh(root) != before


@pytest.mark.parametrize("happens", [damage, os.unlink])
def test_predictions_that_were_damaged_or_removed_are_noticed(root, happens):
    board(root)
    record = Store(root).scan()[0][0]
    happens(Store(root).predictions_path(record.predictions))
    with pytest.raises(StoreError, match=record.id):
        board(root)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def other_content(path):
    content = path.read_bytes()
    place = content.index(b'"episode_scores":[')
    path.write_bytes(content[: place + 18] + b"9" + content[place + 19 :])


def other_tables(path):
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE records (name, stamp, content)")


@pytest.mark.slow
@pytest.mark.parametrize("happens", [damage, cut, other_content, other_tables])
def test_a_damaged_or_foreign_index_is_made_anew_with_one_warning(root, happens):
    expected = board(root)
    happens(root / index.FILE)
    with pytest.warns(BenchWarning, match="is made anew") as warned:
        assert board(root) == expected
    assert len(warned) == 1
    with warnings.catch_warnings(action="error"):
        assert board(root) == expected


@pytest.mark.slow
def test_the_index_of_another_store_is_not_used(root, tmp_path):
    other = big_store(tmp_path / "other", 50, methods=2, episodes=1, queries=20, seed=1).root
    expected, of_other = board(root), board(other)
    assert expected != of_other
    shutil.copy(other / index.FILE, root / index.FILE)
    assert board(root) == expected


@pytest.mark.slow
def test_several_programs_read_and_write_at_once(root):
    expected, found = fresh(root), []
    (root / index.FILE).unlink()
    threads = [threading.Thread(target=lambda: found.append(board(root))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_a_store_is_read_without_an_index_that_is_locked_or_cannot_be_written(root, monkeypatch):
    monkeypatch.setattr(index, "_WAIT", 0.01)
    expected = fresh(root)
    with warnings.catch_warnings(action="error"):
        holder = sqlite3.connect(root / index.FILE, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        assert board(root) == expected
        holder.close()
        (root / index.FILE).unlink()
        (root / index.FILE).mkdir()
        assert board(root) == expected


def test_records_of_every_schema_are_the_same_in_the_index(root):
    old = [path for path in (ROOT / "tests/results/old_records").rglob("*.json") if RECORD.fullmatch(path.name)]
    for path in old:
        shutil.copy(path, root)
    first, again = Store(root).scan(), Store(root).scan()
    assert len(first[0]) > 50
    assert [record.model_dump_json() for record in first[0]] == [record.model_dump_json() for record in again[0]]
