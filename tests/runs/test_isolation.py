"""Labels of queries are out of a method's reach, and the backbone stays as it was."""

import pytest

from bench import registry
from bench.data.episodes import draw_episodes, episode_spec
from bench.engine.answer import answer_episodes
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.engine.worker import ForkedWorker
from bench.results.contract_status import contract_status, keep_contract_status
from bench.results.store import Store
from bench.runs.runner import Runner, fresh_processes, same_process
from bench.testing.tiny_models import save_model
from bench.toolkit.code_hash import code_hash
from tests.helpers.runs import Notebook, grid
from tests.outside.bench_outside.thief import SHIFT, WANTED

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("outside", "cache")]


def records(folder, isolate, **block):
    quiet_lightning()
    runner = Runner(Store(folder / isolate.__name__), DeviceOptions(accelerator="cpu"), Notebook(), isolate=isolate)
    return {record.spec.method: record for record in runner.run(grid(shots=[2], seeds=[0], set={}, **block)).records}


def test_a_method_finds_no_query_labels_in_its_process(tmp_path, cache):
    (spec,) = grid(methods=["thief"], shots=[2], seeds=[0], set={})
    drawn = draw_episodes(registry.make_task("stripes").load(None), episode_spec(spec))
    # A file with labels as such would bring them into the memory that is searched.
    shifted = drawn.query_labels[0].tobytes().translate(SHIFT)
    cache.mkdir(parents=True, exist_ok=True)
    (cache / WANTED).write_bytes(shifted)
    record = records(tmp_path, fresh_processes, methods=["thief"])["thief"]
    assert record.status == "ok", record.reason
    assert record.notes["found"] == []
    assert record.notes["searched"]
    assert record.value == 25.0
    # The same search where labels are in the process finds them.
    found = records(tmp_path, same_process, methods=["thief"])["thief"].notes["found"]
    assert {"episodes", "memory"} <= set(found)


def test_a_method_that_ends_its_process_fails_and_is_tried_again(tmp_path):
    quiet_lightning()
    reporter = Notebook()
    runner = Runner(Store(tmp_path), DeviceOptions(accelerator="cpu"), reporter, isolate=fresh_processes)
    runs = grid(methods=["faulty", "knn"], shots=[1], seeds=[0], episodes=2, set={"faulty": {"fault": "crash"}})
    for _ in range(2):
        found = {record.spec.method: record for record in runner.run(runs).records}
        assert {name: record.status for name, record in found.items()} == {"faulty": "failed", "knn": "ok"}
        assert "ended by SIGSEGV" in found["faulty"].reason
        assert not found["faulty"].violations
    assert [method for method, *_ in reporter.ran] == ["faulty", "knn", "faulty"]


def test_a_method_that_changes_the_backbone_fails_and_harms_no_other(tmp_path):
    model = f"hf:{save_model(tmp_path / 'model', 'llama', context=64)}"
    block = {"task": "lexicon", "backbone": model, "episodes": 2, "queries": 8}
    alone = records(tmp_path / "alone", same_process, methods=["zero_shot"], **block)["zero_shot"]
    for isolate in (fresh_processes, same_process):
        found = records(tmp_path, isolate, methods=["vandal", "zero_shot"], **block)
        assert found["vandal"].status == "failed"
        assert "vandal must leave the frozen backbone as it was, and changed " in found["vandal"].reason
        assert found["zero_shot"].predictions.sha256 == alone.predictions.sha256


def test_a_method_on_features_is_checked_until_a_run_of_its_config_left_the_backbone_as_it_was(tmp_path, monkeypatch):
    checked, answer = [], ForkedWorker.call

    def call(worker, function, *arguments):
        if function is answer_episodes:
            checked.append((arguments[0].run.spec.method, arguments[0].checked))
        return answer(worker, function, *arguments)

    monkeypatch.setattr(ForkedWorker, "call", call)
    quiet_lightning()
    model = f"hf:{save_model(tmp_path / 'model', 'llama', context=64)}"
    block = {"task": "lexicon", "backbone": model, "shots": [1], "set": {}, "episodes": 2, "queries": 8}
    runner = Runner(Store(tmp_path), DeviceOptions(accelerator="cpu"), Notebook(), isolate=fresh_processes)
    made = runner.run(grid(methods=["vandal", "knn"], seeds=[0, 1, 2], **block)).records
    assert [record.status for record in made if record.spec.method == "vandal"] == ["failed"] * 3
    assert [record.status for record in made if record.spec.method == "knn"] == ["ok"] * 3
    assert [each for name, each in checked if name == "vandal"] == [True] * 3
    assert [each for name, each in checked if name == "knn"] == [True, False, False]


def test_a_record_says_that_its_method_is_transductive(tmp_path, monkeypatch):
    def recorded(folder):
        made = records(tmp_path / folder, same_process, methods=["nearest_prototype"], episodes=1)
        return made["nearest_prototype"].provenance["transductive"]

    assert recorded("by default") is False
    monkeypatch.setattr(registry.method_class("nearest_prototype"), "transductive", True)
    assert recorded("declared") is True


def test_a_record_says_whether_its_method_passed_the_contract_suite(tmp_path, outside_site, cache):
    def status(name, folder):
        return records(tmp_path / folder, same_process, methods=[name], episodes=1)[name].provenance["contract"]

    assert status("nearest_mean", "own") == "passed"
    assert status("nearest_prototype", "before") == "not run"
    keep_contract_status(registry.get("methods", "nearest_prototype"), "passed")
    assert status("nearest_prototype", "after") == "passed"
    for kept in (cache / "contracts").iterdir():
        kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    assert contract_status(registry.get("methods", "nearest_prototype")) == "not run"
    # What passed is the code, not the name.
    path = outside_site / "bench_outside" / "nearest_prototype.py"
    own = path.read_text()
    try:
        path.write_text(own.replace("normalize(self.sums, dim=-1)", "self.sums"))
        code_hash.cache_clear()
        assert contract_status(registry.get("methods", "nearest_prototype")) == "not run"
    finally:
        path.write_text(own)
        code_hash.cache_clear()
