"""Durable writing: whole or not at all, flushed with its folder, and nothing of killed writers stays."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from bench.contracts.errors import StoreError
from bench.toolkit.durable import atomic_folder, atomic_path, make_folder, write_atomic, writing
from bench.toolkit.temporary import ABANDONED, leftovers


@pytest.fixture
def flushed(monkeypatch):
    """Paths in the order in which they were flushed, and renamed."""
    events, fsync, replace = [], os.fsync, Path.replace

    def note_flush(descriptor):
        events.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    def note_replace(path, target):
        events.append(("renamed", path))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(Path, "replace", note_replace)
    return events


def test_the_content_is_flushed_before_it_has_its_name_and_the_folder_after(tmp_path, flushed):
    write_atomic(tmp_path / "a", "new")
    temporary = flushed[0]
    assert flushed == [temporary, ("renamed", temporary), tmp_path]
    assert temporary.parent == tmp_path


def test_a_folder_is_flushed_with_all_its_files_and_takes_the_place_of_an_earlier_one(tmp_path, flushed):
    for content in ("old", "new"):
        flushed.clear()
        with atomic_folder(tmp_path / "a") as made:
            (made / "inner").mkdir()
            (made / "inner" / "file").write_text(content)
        assert set(flushed[:3]) == {made / "inner" / "file", made / "inner", made}
        assert flushed[-1] == tmp_path
        assert (tmp_path / "a" / "inner" / "file").read_text() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_every_new_folder_is_flushed_into_its_parent(tmp_path, flushed):
    make_folder(tmp_path / "a" / "b")
    assert flushed == [tmp_path, tmp_path / "a"]


def test_a_link_is_followed_and_a_device_is_written_to(tmp_path):
    (tmp_path / "board.html").write_text("old")
    (tmp_path / "latest").symlink_to("board.html")
    write_atomic(tmp_path / "latest", "new")
    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "board.html").read_text() == "new"
    write_atomic(Path("/dev/null"), "gone")
    assert not Path("/dev/null").is_file()


def test_a_name_as_long_as_the_system_allows_is_a_name(tmp_path):
    write_atomic(tmp_path / ("x" * 255), "content")
    assert (tmp_path / ("x" * 255)).read_text() == "content"


def _write_and_wait(folder, ready):
    with atomic_path(folder / "file") as part, atomic_folder(folder / "folder") as made:
        part.write_text("half")
        (made / "half").write_text("half")
        ready.set()
        time.sleep(60)


@pytest.mark.slow
def test_the_next_start_removes_what_killed_writers_left_and_nothing_else(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = []
    for _ in range(2):
        ready = context.Event()
        writers.append(context.Process(target=_write_and_wait, args=(tmp_path, ready)))
        writers[-1].start()
        assert ready.wait(30)
    assert len(list(tmp_path.iterdir())) == 4
    os.kill(writers[0].pid, signal.SIGKILL)
    writers[0].join(30)
    users = [tmp_path / ".bench-mine.tmp", tmp_path / ".converting-today", tmp_path / f".bench-{'g' * 32}.tmp"]
    for path in users:
        path.write_text("")
    for number, age in enumerate((0.5, 2)):
        earlier = tmp_path / f".{number:016x}-{'0' * 32}.tmp"
        earlier.write_text("")
        os.utime(earlier, (time.time() - age * ABANDONED,) * 2)
        users += [earlier] if age < 1 else []
    leftovers(tmp_path, remove=True)
    assert len(list(tmp_path.iterdir())) == 2 + len(users)
    os.kill(writers[1].pid, signal.SIGKILL)
    writers[1].join(30)
    leftovers(tmp_path, remove=True)
    assert sorted(tmp_path.iterdir()) == sorted(users)


def test_what_cannot_be_written_is_named_with_the_reason_and_what_to_do(tmp_path):
    for remedy, end in (("", ""), ("use --out DIR", "; use --out DIR")):
        with pytest.raises(StoreError) as error, writing("--out a/b", remedy):
            write_atomic(tmp_path / "a" / "b", "text")
        assert str(error.value) == f"--out a/b cannot be written: No such file or directory{end}"


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_at_any_flush_leaves_the_old_content(tmp_path, monkeypatch, fault):
    write_atomic(tmp_path / "a", "old")

    def fail(descriptor):
        raise fault

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(fault)):
        write_atomic(tmp_path / "a", "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
