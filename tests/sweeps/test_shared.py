"""Studies that several processes share: totals, killed and stopped processes, a server, and its password."""

import os
import signal
import sys
import time
from pathlib import Path

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from bench.contracts import StoreError
from sweeps import storage, workers
from sweeps.attempt import counts
from sweeps.shared_limits import SharedLimits
from sweeps.storage import open_storage, shown, without_secrets
from sweeps.workers import PROCESS, Workers, this_process
from tests.helpers import postgres, preloaded

WORDS = [
    "sweep", "--task", "stripes", "--backbone", "pixels", "--method", "planted", "--episodes", "3",
    "--sampler", "random",
]  # fmt: skip


def study_on(storage):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler(seed=0)
    return optuna.create_study(study_name="s", storage=storage, sampler=sampler, load_if_exists=True)


@pytest.fixture
def shared(tmp_path):
    """Path of a journal, and a study on it."""
    path = str(tmp_path / "journal.log")
    return path, study_on(open_storage(path))


def limits(path, study, total=10, seconds=None):
    return SharedLimits(study, Workers(path), total, seconds, counts, lambda line: None)


def begin_a_trial_elsewhere(path, stop=False):
    """A forked process that works on a study and begins a trial; returns its number once it has done so."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            study = study_on(open_storage(path))
            with Workers(path).present():
                trial = study.ask()
                trial.set_user_attr(PROCESS, this_process())
                trial.suggest_float("x", 0, 1)
                os.write(writing, b".")
                time.sleep(60)
        finally:
            os._exit(0)
    assert os.read(reading, 1) == b"."
    if stop:
        os.kill(child, signal.SIGSTOP)
        os.waitpid(child, os.WUNTRACED)  # the signal is answered a moment later
    return child


def end(child):
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def states(study):
    return [trial.state for trial in study.get_trials()]


def test_a_trial_of_a_killed_process_is_failed_and_its_config_tried_again_and_that_of_a_living_one_is_not(shared):
    path, study = shared
    child = begin_a_trial_elsewhere(path)
    Workers(path).end_trials_of_ended(study)
    assert states(study) == [TrialState.RUNNING]
    end(child)
    Workers(path).end_trials_of_ended(study)
    assert states(study) == [TrialState.FAIL, TrialState.WAITING]
    again = study.ask()
    assert again.suggest_float("x", 0, 1) == study.get_trials()[0].params["x"]
    assert PROCESS not in again.user_attrs
    assert [each.name for each in Path(path).parent.glob("*.lock")] == [".journal.log.lock"]


def test_a_trial_of_a_stopped_process_is_waited_for_no_longer_than_a_minute(shared, monkeypatch):
    path, study = shared
    child = begin_a_trial_elsewhere(path, stop=True)
    try:
        processes = Workers(path)
        processes.end_trials_of_ended(study)
        assert states(study) == [TrialState.RUNNING]
        monkeypatch.setattr(workers, "STOPPED_LIMIT", -1.0)
        processes.end_trials_of_ended(study)
        assert states(study) == [TrialState.FAIL, TrialState.WAITING]
    finally:
        end(child)


def test_a_process_is_known_after_a_correction_of_the_clock(shared, monkeypatch):
    path, study = shared
    child = begin_a_trial_elsewhere(path, stop=True)
    try:
        boot_time = psutil.boot_time()
        monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: boot_time + 1)
        monkeypatch.setattr(workers, "STOPPED_LIMIT", -1.0)
        Workers(path).end_trials_of_ended(study)
        assert states(study) == [TrialState.FAIL, TrialState.WAITING]
    finally:
        end(child)


def test_a_config_that_ends_each_of_its_processes_is_tried_three_times(shared):
    path, study = shared
    for _ in range(3):
        end(begin_a_trial_elsewhere(path))
        Workers(path).end_trials_of_ended(study)
    assert states(study) == [TrialState.FAIL] * 3


@pytest.mark.slow
def test_trials_of_all_processes_count_and_the_last_ones_are_waited_for(shared):
    path, study = shared
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    child = begin_a_trial_elsewhere(path)
    assert limits(path, study, total=4).another_trial(0.0)
    lines = []
    held = limits(path, study, total=3)
    held.notify = lines.append
    # The third trial runs elsewhere; once its process has ended, it is missing.
    pid = os.fork()
    if pid == 0:
        time.sleep(0.6)
        os.kill(child, signal.SIGKILL)
        os._exit(0)
    began = time.monotonic()
    assert held.another_trial(0.0)
    assert time.monotonic() - began > 0.4
    os.waitpid(child, 0)
    os.waitpid(pid, 0)


def test_of_trials_that_began_at_once_the_later_ones_are_surplus(shared):
    path, study = shared
    trials = [study.ask() for _ in range(3)]
    for trial in trials:
        trial.set_user_attr(PROCESS, this_process())
    assert [limits(path, study, total=2).is_surplus(trial) for trial in trials] == [False, False, True]


def test_of_two_trials_at_one_point_of_a_grid_the_later_one_is_surplus(shared):
    path, study = shared
    trials = [study.ask() for _ in range(3)]
    for trial, point in zip(trials, (4, 4, 5), strict=True):
        study._storage.set_trial_system_attr(trial._trial_id, "grid_id", point)
        trial.set_user_attr(PROCESS, this_process())
    assert [limits(path, study).is_surplus(trial) for trial in trials] == [False, True, False]


@pytest.mark.slow
def test_the_seconds_of_all_processes_and_calls_count(shared):
    path, study = shared
    study.optimize(lambda trial: time.sleep(0.2) or trial.suggest_float("x", 0, 1), n_trials=2)
    assert limits(path, study, seconds=5.0).another_trial(0.0)
    assert not limits(path, study, seconds=0.4).another_trial(0.0)
    assert not limits(path, study, seconds=5.0).another_trial(6.0)


def test_passwords_of_a_storage_are_not_shown():
    url = "postgresql://ann:pa55%2Fword@db.org/s?sslpassword=k3y&application_name=x"
    assert shown(url) == "postgresql://ann:***@db.org/s?application_name=x"
    assert "pa55" not in without_secrets(f"{url} failed for pa55/word", url)
    assert shown("studies/journal.log") == "studies/journal.log"
    assert shown("no url://pa55") == "no url://***"


@pytest.mark.slow
def test_a_server_that_cannot_be_reached_is_one_error_without_the_password(in_process, outside, cache, tmp_path):
    url = f"postgresql://ann:pa55word@/s?host={tmp_path}"
    arguments = (*WORDS, "--storage", url, "--out", str(tmp_path / "studies"), "--trials", "1", "--logger", "none")
    code, out, err = in_process(*arguments)
    assert code == 1
    assert "storage postgresql://ann:***@/s?host=" in err
    assert len(err.strip().splitlines()) == 1
    assert "pa55word" not in out + err + " ".join(sys.argv)


@pytest.fixture(scope="module")
def database():
    if postgres.programs() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    pytest.importorskip("psycopg")
    with postgres.server() as url:
        yield url


@pytest.mark.slow
def test_a_wrong_password_is_one_error_without_it(database):
    with pytest.raises(StoreError, match="password authentication failed") as error:
        open_storage(database.replace(postgres.PASSWORD, "wr0ng"))
    assert "wr0ng" not in str(error.value)


def beat_often():
    """A process of its own tells the server each second that it lives."""
    storage.HEARTBEAT, storage.GRACE = 1, 3


@pytest.mark.slow
def test_two_workers_share_a_server_and_the_trial_of_the_killed_one_is_repeated(database, sweep, outside, tmp_path):
    common = [*WORDS, "--storage", database, "--trials", "6", "--set", "seconds=0.3"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(outside), *sys.path]), "WANDB_MODE": "offline"}
    folders = [tmp_path / "one", tmp_path / "two"]
    made = sweep(trials=6, sampler="random", set={"seconds": 0.3}, storage=database)
    processes = []

    def start(folder, logger):
        words = (*common, "--out", str(folder), "--logger", logger)
        processes.append(preloaded.Program("bench", *words, env=environment, setup=beat_often))

    def trials_of(process, *states):
        return [
            trial
            for trial in made.study.get_trials(states=states)
            if f":{process.pid}:" in trial.user_attrs.get(PROCESS, "")
        ]

    def stopped_at_work(process):
        # A trial that was seen running may have ended before its process is killed, unless it is stopped first.
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.1)  # what it sent to the server is answered
        if trials_of(process, TrialState.RUNNING):
            return True
        process.send_signal(signal.SIGCONT)
        return False

    def wait_until(condition, what):
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline, what
            time.sleep(0.05)

    try:
        # The second starts when the first has work to lose; a slow start must not cost the first its last trial.
        start(folders[0], "none")
        wait_until(lambda: trials_of(processes[0], TrialState.RUNNING), "the first process was never seen at work")
        start(folders[1], "wandb")
        wait_until(lambda: len(made.ended()) > 2 or trials_of(processes[1], *TrialState), "the study stands still")
        wait_until(lambda: stopped_at_work(processes[0]), "the first process was not seen at work again")
        processes[0].send_signal(signal.SIGKILL)
        ended = processes[1].wait(120)
        output = ended.stdout + ended.stderr
    finally:
        for process in processes:
            process.end()
    assert ended.returncode == 0, output
    trials = made.study.get_trials()
    ended = made.ended()
    assert len(ended) == 6
    assert not [trial for trial in trials if trial.state in {TrialState.RUNNING, TrialState.WAITING}]
    (killed,) = [trial for trial in trials if trial.state is TrialState.FAIL and not counts(trial)]
    assert f":{processes[0].pid}:" in killed.user_attrs[PROCESS]
    repeated = next(trial for trial in ended if trial.system_attrs.get("failed_trial") == killed.number)
    # It may have been killed before it had all its values.
    assert killed.params.items() <= repeated.params.items()
    assert (folders[1] / made.name / "best.yaml").is_file()
    # Nothing that a run leaves has the password: W&B's files, pages, configs, output.
    assert postgres.PASSWORD not in output
    for path in folders[1].rglob("*"):
        assert not path.is_file() or postgres.PASSWORD.encode() not in path.read_bytes(), path
