"""One way through, on a small outside task: what runs, what is kept, what failure costs."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path
from weakref import ref

import numpy as np
import pytest
import torch

from bench.api.results import Results
from bench.contracts import StoreError, UsageError
from bench.contracts.site import name_at_site
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.reports.rows import rows
from bench.results import index, indexed_records
from bench.results.prune import unnamed
from bench.results.store import Store
from bench.results.verify import problems
from bench.runs import group
from bench.runs.runner import Runner, same_process
from bench.testing.tiny_models import save_model
from tests.helpers.runs import METHODS, Notebook, grid, outside_runner, runner_in


@pytest.fixture
def runner(outside, cache, tmp_path):
    return runner_in(tmp_path)


@pytest.fixture(scope="module")
def finished(outside_site, tmp_path_factory):
    """The runner of a grid, after its run, and the report."""
    with outside_runner(outside_site, tmp_path_factory.mktemp("finished")) as runner:
        yield runner, runner.run(grid())


def by_run(report):
    return {(record.spec.method, record.spec.shots, record.spec.seed): record for record in report.records}


@pytest.mark.slow
def test_a_run_that_is_there_twice_is_executed_and_reported_once(runner):
    specs = grid()[:2]
    entries, _ = runner.plan([*specs, *specs])
    assert len(entries) == 2
    assert len(runner.run([*specs, *specs]).records) == 2
    assert len(runner.run([*specs, *specs]).records) == 2


@pytest.mark.slow
def test_every_run_leaves_a_record_that_reads_back(finished):
    runner, report = finished
    assert len(report.records) == 2 + 4 * 2 * 2  # zero_shot once per seed, the others at every number of shots
    assert not report.failed, [record.reason for record in report.records]
    assert {record.id for record in runner.store} == {record.id for record in report.records}
    for record in runner.store:
        assert record.status == "ok"
        assert len(record.episode_scores) == 6
        assert record.value == pytest.approx(np.mean(record.episode_scores))
        assert record.n_queries == 6 * 4 * 5
        assert runner.store.predictions(record).episode_scores() == record.episode_scores
        assert record.costs.query_milliseconds > 0
        assert record.costs.encode.seconds > 0
        assert record.provenance["torch"] == torch.__version__.partition("+")[0]
    scores = by_run(report)
    # The class values are random directions: the prior is worth nothing, the examples are.
    assert scores["faast", 5, 0].value > scores["zero_shot", 0, 0].value + 15
    assert scores["faast", 5, 0].costs.adapt.seconds > 0
    assert scores["zero_shot", 0, 0].costs.adapt.seconds == 0
    assert scores["linear_probe", 5, 0].costs.trainable_params == 144 * 4 + 4
    assert scores["softmax_memory", 5, 0].costs.state_mb > scores["softmax_memory", 1, 0].costs.state_mb


@pytest.mark.slow
def test_a_finished_run_is_not_run_again_and_a_changed_one_is(finished):
    runner, first = finished
    ran = list(runner.reporter.ran)
    again = runner.run(grid())
    assert runner.reporter.ran == ran
    assert by_run(again) == by_run(first)
    changed = runner.run(grid(methods=["faast"], set={"faast": {"alpha": 0.5}}))
    assert {record.id for record in changed.records}.isdisjoint(record.id for record in first.records)
    forced = replace(runner, force=True).run(grid(methods=["knn"], shots=[1], seeds=[0]))
    assert runner.reporter.ran[-1] == ("knn", 1, 0)
    assert forced.records[0].value == by_run(first)["knn", 1, 0].value


@pytest.mark.slow
def test_what_is_found_recorded_is_read_from_the_index_the_next_time(finished, monkeypatch):
    def refuse(path):
        raise AssertionError(f"{path} is in the index")

    runner, _ = finished
    monkeypatch.setattr(indexed_records, "LEAST_RECORDS", 1)
    monkeypatch.setattr(index, "_SETTLED", 0)
    monkeypatch.setattr(group, "TOGETHER", 7)
    found = runner.run(grid())
    monkeypatch.setattr(indexed_records, "read_record", refuse)
    assert by_run(runner.run(grid())) == by_run(found)


@pytest.mark.slow
def test_default_written_out_is_the_same_run(runner):
    first = runner.run(grid(methods=["faast"], shots=[1], seeds=[0]))
    same = runner.run(grid(methods=["faast"], shots=[1], seeds=[0], set={"faast": {"alpha": 0.8}}))
    assert first.records[0].id == same.records[0].id


@pytest.mark.slow
def test_editing_a_method_makes_its_records_another_runs(runner, outside_site):
    from bench.toolkit.code_hash import code_hash

    first = runner.run(grid(methods=["nearest_prototype"], shots=[1], seeds=[0]))
    path = outside_site / "bench_outside" / "nearest_prototype.py"
    original = path.read_text()
    try:
        path.write_text(original.replace('"""Scores are', '"""Other words. Scores are') + "# a comment\n")
        code_hash.cache_clear()
        worded = runner.run(grid(methods=["nearest_prototype"], shots=[1], seeds=[0]))
        path.write_text(original.replace("query.keys @", "2 * query.keys @"))
        code_hash.cache_clear()
        edited = runner.run(grid(methods=["nearest_prototype"], shots=[1], seeds=[0]))
    finally:
        path.write_text(original)
        code_hash.cache_clear()
    assert worded.records[0].id == first.records[0].id
    assert edited.records[0].id != first.records[0].id


@pytest.mark.slow
def test_same_seed_same_scores_whatever_the_workers_the_methods_and_the_batches(outside, cache, tmp_path, monkeypatch):
    quiet_lightning()
    answers = []
    for number, (workers, methods) in enumerate([(0, METHODS), (2, ["faast"]), (3, ["knn", "faast"])]):
        monkeypatch.setenv("BENCH_CACHE", str(tmp_path / f"cache{number}"))
        options = DeviceOptions(accelerator="cpu", batch_size=16, workers=workers)
        runner = Runner(Store(tmp_path / f"store{number}"), options, Notebook(), isolate=same_process)
        report = runner.run(grid(methods=methods, shots=[5], seeds=[3]))
        answers.append(by_run(report)["faast", 5, 3].episode_scores)
    assert answers[0] == answers[1] == answers[2]
    assert runner.run(grid(methods=["faast"], shots=[5], seeds=[4])).records[0].episode_scores != answers[0]


@pytest.mark.slow
def test_methods_of_earlier_episodes_are_freed(runner, monkeypatch):
    from methods.knn import Knn

    made, alive = [], []
    build = Knn.__init__

    def counted(self, *args):
        alive.append(sum(one() is not None for one in made))
        made.append(ref(self))
        build(self, *args)

    monkeypatch.setattr(Knn, "__init__", counted)
    monkeypatch.setattr(Knn, "episodes_at_once", 1)
    runner.run(grid(methods=["knn"], shots=[1], seeds=[0], episodes=12))
    # Warmed up, counted, and made once for each episode that is scored.
    assert len(alive) >= 2 + 12
    assert max(alive) <= 2


@pytest.mark.slow
def test_items_are_encoded_once(finished):
    runner, _ = finished
    encoded = runner.reporter.encoded
    assert 0 < encoded <= 4 * (30 + 25)
    report = replace(runner, force=True).run(grid(methods=["faast"]))
    assert runner.reporter.encoded == encoded
    assert all(record.costs.encode_wall_seconds == 0 for record in report.records)
    assert all(record.costs.encode.seconds > 0 for record in report.records)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "reason"),
    [("raise", "RuntimeError: planted defect"), ("nan", "scores must be finite"), ("shape", "")],
)
def test_a_defect_costs_its_own_run_only(runner, fault, reason):
    report = runner.run(
        grid(methods=["faast", "faulty", "knn"], shots=[1], seeds=[0], set={"faulty": {"fault": fault}})
    )
    status = {record.spec.method: record.status for record in report.records}
    assert status == {"faast": "ok", "faulty": "failed", "knn": "ok"}
    failed = by_run(report)["faulty", 1, 0]
    assert reason in failed.reason
    assert failed.reason
    assert "\n" not in failed.reason
    assert report.failed
    # A failed run is never taken for finished.
    runner.run(grid(methods=["faast", "faulty"], shots=[1], seeds=[0], set={"faulty": {"fault": fault}}))
    assert [method for method, *_ in runner.reporter.ran].count("faulty") == 2
    assert [method for method, *_ in runner.reporter.ran].count("faast") == 1


@pytest.mark.slow
def test_what_a_method_cannot_serve_is_a_skipped_record(runner):
    report = runner.run(grid(methods=["in_context", "faast"], shots=[1], seeds=[0]))
    skipped = by_run(report)["in_context", 1, 0]
    assert skipped.status == "skipped"
    assert "text_classification" in skipped.reason
    assert not report.failed
    assert rows(report.records)[-1].status == "skipped"


def classes_of_texts(folder, names):
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(4):
            (folder / name / f"{number}.txt").write_text(f"{name} word {number}")
    return folder


@pytest.mark.slow
def test_answers_of_several_tokens_serve_every_method(runner, tmp_path):
    """One answer of one token and two of several, two with a common beginning."""
    names = ("positive", "very", "very_bad_indeed")
    model = save_model(tmp_path / "model", "gpt2", context=256)
    texts = replace(runner, data=classes_of_texts(tmp_path / "data", names))
    methods = ["faast", "faast@hidden_states", "gda", "in_context", "knn", "linear_probe", "nearest_mean", "ridge"]
    methods += ["ridge@hidden_states", "softmax_memory", "zero_shot"]
    requested = {"task": "text_folder", "backbone": f"hf:{model}", "queries": 2, "episodes": 2}
    report = texts.run(grid(**requested, methods=methods, shots=[1], seeds=[0]))
    records = {name_at_site(record.spec.method, record.spec.config): record for record in report.records}
    assert {method: record.status for method, record in records.items()} == dict.fromkeys(methods, "ok")
    mean = "mean of an answer's token embeddings: 1 of 3 answers have 2 to 3 tokens"
    none = "none, and no zero-shot prior: answers of several or no tokens"
    said = {
        method: record.notes["class_embeddings"]
        for method, record in records.items()
        if "class_embeddings" in record.notes
    }
    assert said == {"faast": mean, "softmax_memory": mean, "gda": none, "knn": none}
    assert {row.method: row.class_embeddings for row in rows(report.records) if row.class_embeddings} == said
    assert records["zero_shot"].n_queries == 2 * 2 * len(names)
    ran = list(texts.reporter.ran)
    texts.run(grid(**requested, methods=["zero_shot"], shots=[1], seeds=[0]))
    assert texts.reporter.ran == ran


@pytest.mark.slow
def test_answers_without_an_embedding_serve_methods_that_need_none(runner, tmp_path):
    """The mean of two answers is the same where they have the same tokens in another order."""
    model = save_model(tmp_path / "model", "gpt2", context=256)
    texts = replace(runner, data=classes_of_texts(tmp_path / "data", ("good bad", "bad good", "very")))
    requested = {"task": "text_folder", "backbone": f"hf:{model}", "queries": 2, "episodes": 2}
    methods = ["faast", "gda", "in_context", "knn", "linear_probe", "tip_adapter"]
    report = texts.run(grid(**requested, methods=methods, shots=[1], seeds=[0]))
    records = {record.spec.method: record for record in report.records}
    skipped = {"faast", "tip_adapter"}
    assert {method for method, record in records.items() if record.status == "skipped"} == skipped
    assert {method for method, record in records.items() if record.status == "ok"} == set(methods) - skipped
    for method in skipped:
        reason = records[method].reason
        assert "answers must have different tokens" in reason
        assert "\n" not in reason
        assert {"gda", "in_context", "knn", "linear_probe", "nearest_mean", "ridge", "zero_shot"} <= set(
            reason.partition("; ")[2].removesuffix(" need no class embeddings").split(", ")
        )
    assert not report.failed


@pytest.mark.slow
def test_answers_of_one_token_serve_every_method(runner, tmp_path):
    model = save_model(tmp_path / "model", "gpt2", context=256)
    texts = replace(runner, data=classes_of_texts(tmp_path / "data", ("positive", "negative")))
    requested = {"task": "text_folder", "backbone": f"hf:{model}", "queries": 2, "episodes": 2}
    report = texts.run(grid(**requested, methods=["faast", "knn", "zero_shot"], shots=[1], seeds=[0]))
    assert {record.status for record in report.records} == {"ok"}, [record.reason for record in report.records]


@pytest.mark.slow
def test_features_that_are_not_finite_fail_the_runs_that_need_them(runner):
    report = runner.run(grid(backbone="pixels:nan", methods=["faast"], shots=[1, 5], seeds=[0]))
    assert {record.status for record in report.records} == {"failed"}
    assert all("must be finite" in record.reason and "item" in record.reason for record in report.records)
    assert not any(np.isnan(score) for record in report.records for score in record.episode_scores)


@pytest.mark.slow
def test_an_unreadable_item_is_named_and_costs_only_the_runs_that_draw_it(runner, monkeypatch):
    from bench_outside.stripes import Stripes
    from PIL import Image

    load = Stripes.load

    def with_a_blank(self, data):
        loaded = load(self, data)
        pictures = list(loaded.support.inputs["input"])
        pictures[0] = Image.new("L", (12, 12))
        blank = loaded.support.inputs.from_dict({"input": pictures}, features=loaded.support.inputs.features)
        return replace(loaded, support=replace(loaded.support, inputs=blank))

    monkeypatch.setattr(Stripes, "load", with_a_blank)
    report = runner.run(grid(methods=["faast", "zero_shot"], shots=[1, 30], seeds=[0], episodes=1))
    status = {(record.spec.method, record.spec.shots): record.status for record in report.records}
    assert status == {("faast", 1): "ok", ("faast", 30): "failed", ("zero_shot", 0): "ok"}
    reason = by_run(report)["faast", 30, 0].reason
    assert "support item 0: a picture of one colour" in reason
    assert "1 of the 120" in reason


@pytest.mark.slow
def test_a_damaged_cache_file_is_made_anew_with_one_warning_and_the_same_scores(runner, cache):
    first = runner.run(grid(methods=["faast"], shots=[1], seeds=[0]))
    for shard in cache.rglob("*.safetensors"):
        shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    again = replace(runner, force=True).run(grid(methods=["faast"], shots=[1], seeds=[0]))
    assert not again.failed
    assert [record.episode_scores for record in again.records] == [record.episode_scores for record in first.records]
    warned = [problem for problem in runner.reporter.problems if "encoded anew" in problem]
    assert len(warned) == 2  # of the support pool and of the query pool


@pytest.fixture
def unwritable(runner, monkeypatch):
    """Makes the disk of the store full or read-only, from the second record on; returns a function to end it."""

    def begin(code):
        written, fsync = [], os.fsync

        def refuse(descriptor):
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if runner.store.root in path.parents and path.is_file():
                written.append(path)
                if len(written) > 3:  # room, predictions and record of the first run
                    raise OSError(code, os.strerror(code))
            fsync(descriptor)

        monkeypatch.setattr("bench.toolkit.durable.os.fsync", refuse)

    return begin


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_results_that_the_store_cannot_keep_are_a_store_elsewhere_and_one_line(runner, unwritable, tmp_path, code):
    unwritable(code)
    rescue = Store(tmp_path / "rescue")
    report = replace(runner, rescue=rescue.root).run(grid(methods=["faast", "knn", "ridge"], shots=[1], seeds=[0]))
    assert report.failed
    (line,) = report.problems
    assert line.startswith(f"records cannot be kept in {runner.store.root} ({os.strerror(code)}); ")
    assert f"bench records import {rescue.root} --store {runner.store.root}" in line
    assert [record.status for record in report.records] == ["ok", "ok", "ok"]
    assert len(list(runner.store)) == 1
    assert sorted(one.id for one in (*runner.store, *rescue)) == sorted(record.id for record in report.records)
    in_memory = {record.id: predictions for record, predictions in report.rescued.results}
    results = Results(report.records, runner.store.root, report.problems, in_memory)
    assert len(results.rows()) == 3
    # Nothing half-written is left, and the advice of the line makes one whole store.
    shutil.copytree(rescue.root, runner.store.root, dirs_exist_ok=True)
    assert len(list(runner.store)) == 3
    assert list(problems(runner.store)) == []
    assert unnamed(runner.store, runner.store) == []


@pytest.mark.slow
def test_results_that_fit_nowhere_are_in_memory_and_the_line_says_what_to_do(runner, unwritable, tmp_path, monkeypatch):
    unwritable(errno.ENOSPC)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    report = runner.run(grid(methods=["faast", "knn", "ridge"], shots=[1], seeds=[0]))
    (line,) = report.problems
    assert "--rescue DIR" in line
    assert [record.status for record, predictions in report.rescued.results if predictions is not None] == ["ok", "ok"]


def test_a_rescue_folder_that_cannot_be_written_is_found_before_any_work(runner, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"--rescue .*file"):
        replace(runner, rescue=tmp_path / "file").run(grid(methods=["faast"], shots=[1], seeds=[0]))
    assert runner.reporter.ran == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shots": [31]}, "has 30 support items, 31 required; use --shots 30 or fewer"),
        ({"queries": 26}, "has 25 query items, 26 required; use --queries 25 or fewer"),
        ({"ways": 5}, "has 4 classes; --ways must lie in 2..4, got 5"),
    ],
)
def test_impossible_draws_are_refused_before_anything_runs(runner, changes, message):
    with pytest.raises(UsageError, match=message):
        runner.run(grid(methods=["faast"]) + grid(methods=["faast"], **changes))
    assert runner.reporter.ran == []


@pytest.mark.slow
def test_full_support_is_one_episode_over_all_queries(runner):
    report = runner.run(grid(methods=["faast", "linear_probe"], shots=["full"], seeds=[0]))
    record = by_run(report)["faast", "full", 0]
    assert record.n_queries == 100
    assert len(record.episode_scores) == 1
    assert 0 <= record.ci_low < record.value < record.ci_high <= 100


@pytest.mark.slow
def test_a_tracker_that_fails_fails_nothing(runner):
    class Broken:
        def begin(self, id_, spec):
            raise ConnectionError("no such server")

        def __call__(self, record):
            raise ConnectionError("no such server")

    report = replace(runner, trackers=(Broken(),)).run(grid(methods=["faast"], shots=[1, 5], seeds=[0]))
    assert not report.failed
    # Reported once, not at every run.
    (problem,) = runner.reporter.problems
    assert "no such server" in problem


@pytest.mark.slow
def test_records_hold_what_the_leaderboard_needs(finished):
    made = rows(finished[1].records)
    assert len(made) == 1 + 4 * 2
    for row in made:
        assert row.seeds == 2
        assert row.episodes == 12
        assert 0 <= row.value <= 100
        assert 0 <= row.ci_low < row.ci_high <= 100
    best = [row.value for row in made if row.shots == 5]
    assert best == sorted(best, reverse=True)
