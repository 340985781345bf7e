"""Runs that go on from the predictions of an interrupted one."""

import os
import signal
import sys
from dataclasses import replace

import pytest
import torch

from bench.data import batches
from bench.engine import answer, partial
from bench.engine.frozen import BackboneChangedError
from bench.engine.group_result import GroupAnswers
from bench.engine.partial import Keeper, PartialFile, partial_key
from bench.results.store import Store
from tests.helpers import preloaded
from tests.helpers.runs import grid, runner_in

pytestmark = pytest.mark.slow

EPISODES = 8


@pytest.fixture
def runner(outside, cache, tmp_path, monkeypatch):
    """A runner that keeps predictions after each group, and groups of single episodes."""
    monkeypatch.setattr(batches, "KEY_ENTRIES_AT_ONCE", 1)
    monkeypatch.setattr(partial, "EVERY", 0.0)
    monkeypatch.setattr(partial, "SHARE", 0.0)
    return runner_in(tmp_path)


def specs(method="linear_probe"):
    return grid(methods=[method], shots=[3], seeds=[0], episodes=EPISODES)


@pytest.fixture
def answered(monkeypatch):
    """Numbers of the episodes that are answered; the run is interrupted where ``at`` is one of them."""
    numbers, at, adapt = [], [], answer.adapt_and_answer

    def interrupted(group, *arguments):
        if group.start in at:
            raise KeyboardInterrupt
        numbers.append(group.start)
        return adapt(group, *arguments)

    monkeypatch.setattr(answer, "adapt_and_answer", interrupted)
    return numbers, at


def interrupt(runner, answered, method="linear_probe", at=5):
    numbers, ends = answered
    ends.append(at)
    with pytest.raises(KeyboardInterrupt):
        runner.run(specs(method))
    ends.clear()
    assert numbers == list(range(at))
    numbers.clear()


def one(report):
    (record,) = report.records
    assert record.status == "ok", record.reason
    return record


def partials(runner):
    return sorted((runner.store.root / "partial").glob("*"))


def test_an_interrupted_run_goes_on_and_scores_the_same_to_the_last_digit(runner, answered, tmp_path):
    whole = one(replace(runner, store=Store(tmp_path / "whole")).run(specs()))
    answered[0].clear()
    interrupt(runner, answered)
    assert [path.name for path in partials(runner)] == [f"{whole.id}.answers"]
    resumed = one(runner.run(specs()))
    assert answered[0] == [5, 6, 7]
    assert resumed.provenance["resumed_episodes"] == 5
    assert "5 of 8 episodes were answered before an interrupt, and are taken up" in runner.reporter.problems
    for name in ("id", "value", "ci_low", "ci_high", "episode_scores", "n_queries", "predictions", "notes"):
        assert getattr(resumed, name) == getattr(whole, name), name
    assert not partials(runner)


def test_a_forced_run_begins_anew(runner, answered):
    interrupt(runner, answered, "knn")
    record = one(replace(runner, force=True).run(specs("knn")))
    assert answered[0] == list(range(EPISODES))
    assert "resumed_episodes" not in record.provenance
    assert not partials(runner)


@pytest.fixture
def written(tmp_path):
    """A file of the predictions of two groups."""
    groups = [
        GroupAnswers(scores=torch.rand(1, 3, 2), texts=[], losses=[0.1, float("inf")], notes={"a": [1, 0.3]}),
        GroupAnswers(scores=torch.empty(0), texts=["é \ud800", ""], losses=[], notes={}),
    ]
    file = PartialFile(tmp_path / "partial" / "x.answers", partial_key("id", 3))
    file.write(groups)
    return file, groups


def test_predictions_and_random_numbers_read_back_are_those_that_were_written(written):
    file, groups = written
    expected = torch.rand(3)
    for found, group in zip(file.read(), groups, strict=True):
        assert torch.equal(found.scores, group.scores)
        assert (found.texts, found.losses, found.notes) == (group.texts, group.losses, group.notes)
    assert torch.equal(torch.rand(3), expected)


def test_damaged_predictions_are_not_used(written):
    file, _ = written
    whole = file.path.read_bytes()
    for place in range(0, len(whole), 97):
        file.path.write_bytes(whole[:place])
        assert file.read() == []
        file.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert file.read() == []
    file.path.unlink()
    assert file.read() == []


def test_predictions_of_other_code_are_not_used(written, monkeypatch):
    file, _ = written
    assert partial_key("id", 3) == file.key
    assert replace(file, key=partial_key("id", 4)).read() == []
    for name, value in (("__version__", "another"), ("HARNESS", ("bench.engine.adapt",))):
        with monkeypatch.context() as patch:
            patch.setattr(partial, name, value)
            assert replace(file, key=partial_key("id", 3)).read() == []


def test_predictions_that_cannot_be_kept_end_no_run(runner, answered, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(partial, "write_atomic", full)
    assert one(runner.run(specs("knn"))).n_queries
    assert "predictions of an unfinished run cannot be kept: No space left on device" in runner.reporter.problems


def test_a_method_that_changes_its_backbone_leaves_no_predictions_to_go_on_from(written, monkeypatch):
    file, groups = written
    file.path.unlink()
    monkeypatch.setattr(partial, "EVERY", 0.0)

    def check():
        raise BackboneChangedError("changed")

    with pytest.raises(BackboneChangedError):
        Keeper(file, check).keep(groups)
    assert not file.path.exists()


def killed_at_the_sixth_episode():
    """What the fixtures ``runner`` and ``answered`` set, in another process, which kills itself."""
    partial.EVERY, partial.SHARE, batches.KEY_ENTRIES_AT_ONCE = 0, 0, 1
    adapt = answer.adapt_and_answer

    def killed(group, *arguments):
        if group.start == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return adapt(group, *arguments)

    answer.adapt_and_answer = killed


def test_a_killed_run_goes_on(runner, answered, outside, tmp_path):
    words = [
        "run", "--task", "stripes", "--backbone", "pixels", "--method", "knn", "--shots", "3", "--seeds", "0",
        "--episodes", str(EPISODES), "--logger", "none", "--measure-in", "inline", "--accelerator", "cpu",
        "--store", str(runner.store.root),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(outside), *sys.path])}
    ended = preloaded.run("bench", *words, env=environment, setup=killed_at_the_sixth_episode)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert [path.suffix for path in partials(runner)] == [".answers"]
    record = one(runner.run(specs("knn")))
    assert answered[0] == [5, 6, 7]
    assert record.provenance["resumed_episodes"] == 5
    assert one(replace(runner, store=Store(tmp_path / "whole")).run(specs("knn"))).predictions == record.predictions
