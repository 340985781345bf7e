"""Journals after interrupted writes, full disks and damage, and with killed and stopped writers."""

import os
import random
import resource
import signal
import time
from contextlib import contextmanager

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from bench.contracts import StoreError
from sweeps import journal
from sweeps.journal import Journal
from sweeps.migration import journal_of
from sweeps.storage import open_storage


def study_on(storage, name="s"):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler(seed=0)
    return optuna.create_study(study_name=name, storage=storage, sampler=sampler, load_if_exists=True)


def go_on(study, n_trials):
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=n_trials)


def values(path):
    """Values of the completed trials."""
    study = optuna.load_study(study_name="s", storage=open_storage(str(path), lambda _: None))
    return [trial.value for trial in study.get_trials(states=[TrialState.COMPLETE])]


@pytest.fixture
def written(tmp_path):
    """A journal of five trials, its content and their values."""
    path = tmp_path / "journal.log"
    go_on(study_on(open_storage(str(path))), 5)
    return path, path.read_bytes(), values(path)


@pytest.fixture
def lines():
    return []


@pytest.mark.slow
def test_a_journal_cut_anywhere_goes_on_without_its_unfinished_operation_and_a_copy_is_kept(written, lines):
    path, whole, expected = written
    copy = path.with_name("journal.log.damaged-1")
    for cut in random.Random(0).sample(range(1, len(whole)), 25):
        path.write_bytes(whole[:cut])
        path.with_name(".journal.log.lock").unlink()  # it notes an operation after it is written
        copy.unlink(missing_ok=True)
        lines.clear()
        storage = open_storage(str(path), lines.append)
        if whole[cut - 1 : cut] == b"\n":
            assert not lines
            continue
        (line,) = lines
        assert line.startswith(f"{path} was left unfinished; dropped: ")
        assert line.endswith("a copy is kept as journal.log.damaged-1")
        assert copy.read_bytes() == whole[:cut]
        kept = path.read_bytes()
        assert whole.startswith(kept)
        assert cut - len(kept) <= max(map(len, whole.splitlines()))
        study = study_on(storage)
        before = [trial.value for trial in study.get_trials(states=[TrialState.COMPLETE])]
        assert before == expected[: len(before)]
        go_on(study, 1)
        assert values(path)[:-1] == before


def test_operations_that_were_lost_after_a_whole_line_are_counted_once(written, lines):
    path, whole, _ = written
    operations = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(operations[:-3]))
    for _ in range(2):
        open_storage(str(path), lines.append)
    assert lines == [f"{path} has {len(operations) - 3} operations of the {len(operations)} that were written to it"]


@pytest.mark.parametrize(
    "garbage", [b"\0" * 4096, b'{"op_code":4,"worker', b"\n\n", bytes(range(256)), b'{"op_code":9}\n']
)
def test_garbage_at_the_end_is_dropped(written, lines, garbage):
    path, whole, expected = written
    path.write_bytes(whole + garbage)
    storage = open_storage(str(path), lines.append)
    assert path.read_bytes() == whole
    assert study_on(storage).best_value == min(expected)
    assert len(lines) == 1


def test_a_whole_operation_that_lacks_its_line_end_is_kept(written):
    path, whole, expected = written
    path.write_bytes(whole[:-1])
    assert values(path) == expected
    assert path.read_bytes() == whole


def changed(lines):
    lines[3] = lines[3].replace(b"0", b"1", 1)


def lost(lines):
    del lines[3]


def doubled(lines):
    lines.insert(3, lines[3])


def unreadable(lines):
    lines[3] = b"\xff" * 20


@pytest.mark.parametrize("damage", [changed, lost, doubled, unreadable])
def test_damage_that_no_interrupt_explains_is_refused_and_nothing_is_changed(written, damage):
    path, whole, _ = written
    parts = whole.splitlines()
    damage(parts)
    path.write_bytes(b"\n".join(parts) + b"\n")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"is damaged in line [45], and not by an interrupted write"):
        open_storage(str(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"# Notes\n", b"\x89PNG\n\0\0", b"[" * 5000 + b"\n", b'{"op_code":99,"a":1}\n'])
def test_another_file_is_refused_and_stays_as_it_is(tmp_path, content):
    path = tmp_path / "notes.md"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"is no journal of a study|holds no study that can be continued"):
        open_storage(str(path))
    assert path.read_bytes() == content


@contextmanager
def disk_with_room_for(path, n_bytes):
    """Context in which a file cannot grow by more than some bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.slow
def test_a_full_disk_is_one_error_and_the_study_goes_on_afterwards(sweep):
    made = sweep(trials=2, sampler="random")
    made.run()
    longer = sweep(trials=4, sampler="random")
    path = next(iter(made.folder.glob("*/journal.log")))
    assert len(longer.ended()) == 2
    with disk_with_room_for(path, 500), pytest.raises(StoreError, match="cannot be used: File too large"):
        longer.run()
    assert path.read_bytes().endswith(b"\n")
    lines = []
    again = sweep(trials=4, sampler="random")
    again.notify = lines.append
    assert len(again.ended()) == 2
    again.run()
    assert len(again.ended()) == 4
    assert not lines


@pytest.fixture
def forked():
    """Starts a function in a forked process, which is killed after the test; waits until it says that it is ready."""
    children = []

    def start(function):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                function(lambda: os.write(writing, b"."))
            finally:
                os._exit(0)
        children.append(child)
        assert os.read(reading, 1) == b"."
        return child

    yield start
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def holds_the_lock(path):
    def hold(ready):
        with Journal(path).locked():
            with path.open("ab") as file:
                file.write(b'{"op_code":4,"wor')
            ready()
            time.sleep(60)

    return hold


def test_the_lock_of_a_killed_writer_delays_nobody(written, forked, lines):
    path, _, expected = written
    mine = study_on(open_storage(str(path), lines.append))
    os.kill(forked(holds_the_lock(path)), signal.SIGKILL)
    began = time.monotonic()
    go_on(mine, 1)
    assert time.monotonic() - began < 5
    assert values(path)[:-1] == expected
    assert len(lines) == 1
    assert "dropped: an unfinished operation of 17 bytes" in lines[0]


@pytest.mark.slow
def test_a_writer_that_holds_the_lock_is_named_and_waited_for_no_longer_than_a_minute(
    written, forked, lines, monkeypatch
):
    path, _, _ = written
    mine = study_on(open_storage(str(path), lines.append))
    child = forked(holds_the_lock(path))
    monkeypatch.setattr(journal, "LOCK_NOTICE", 0.1)
    monkeypatch.setattr(journal, "LOCK_LIMIT", 0.3)
    with pytest.raises(StoreError, match=f"has been locked by process {child} on .* continue or end that process"):
        mine.get_trials() and mine.ask()
    assert lines[0].startswith(f"waiting for process {child} on ")


def test_a_journal_of_all_studies_is_split_once(tmp_path, lines):
    folder = tmp_path / "studies"
    folder.mkdir()
    old = folder / "journal.log"
    for name, number in (("a", 2), ("b", 3)):
        go_on(study_on(JournalStorage(JournalFileBackend(str(old))), name), number)
    running = study_on(JournalStorage(JournalFileBackend(str(old))), "a").ask()
    # What the backend that wrote it left of a power cut: an unfinished operation, and the next one behind it.
    content = old.read_bytes().splitlines(keepends=True)
    content.insert(-1, b'{"op_code":6,"worker_id":"x","tri')
    old.write_bytes(b"".join(content))

    paths = [journal_of(name, folder, lines.append) for name in ("a", "b", "b")]
    assert [path.relative_to(folder).as_posix() for path in paths] == [f"{name}/journal.log" for name in "abb"]
    assert len(lines) == 2
    assert "dropped: an unfinished operation of 33 bytes" in lines[0]
    assert lines[1] == f"{old} had 2 studies, which now have a journal each; it is kept as journal.log.split"
    made = {name: study_on(open_storage(str(path)), name) for name, path in zip("ab", paths, strict=False)}
    assert [len(made[name].get_trials(states=[TrialState.COMPLETE])) for name in "ab"] == [2, 3]
    assert [trial.number for trial in made["a"].get_trials(states=[TrialState.RUNNING])] == [running.number]
    assert not old.exists()


def test_optuna_reads_a_journal_too(written):
    path, _, expected = written
    study = optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend(str(path))))
    assert [trial.value for trial in study.trials] == expected
