"""Sequences of tasks: stages, their scores, what is refused, and what is reported of them."""

import numpy as np
import pytest

from bench import registry
from bench.api.results import Results
from bench.backbones.hf import CausalLM
from bench.contracts import UsageError
from bench.contracts.sequence_task import SequenceData
from bench.data.batches import EpisodeSource
from bench.data.episodes import EpisodeSpec, draw_episodes
from bench.data.features import FeatureTable
from bench.data.payload import payload_of
from bench.reports.sequences import sequence_rows
from bench.results.verify import problems
from bench.runs import generic_texts
from bench.spec.expand import expand
from bench.spec.suite import Block, load_suite
from bench.testing.tiny_models import save_model
from tests.helpers.runs import outside_runner, runner_in

LOW, HIGH = "digits_split:0-4", "digits_split:5-9"
BOTH = f"{LOW} then {HIGH}"
METHODS = ["zero_shot", "faast", "ridge", "lda", "nearest_mean", "linear_probe", "linear_attention", "hebbian",
           "knn", "softmax_memory", "svm"]  # fmt: skip
FEW = ["ridge", "nearest_mean"]
"""Methods that are run with two numbers of shots and two seeds."""
FIELDS = {"backbone": "pixels", "episodes": 3, "queries": 4}
SET = {"linear_probe": {"steps": 10}, "ridge": {"lam": 0.1}}


@pytest.fixture(scope="module")
def finished(outside_site, tmp_path_factory):
    """The store and the records of two tasks of digits, one after the other, and of the first one alone."""
    with outside_runner(outside_site, tmp_path_factory.mktemp("sequences")) as runner:

        def block(methods, shots, seeds, **tasks):
            fixed = {name: SET[name] for name in methods if name in SET}
            fields = {"methods": methods, "shots": shots, "seeds": seeds, "set": fixed, **tasks}
            return expand(Block.model_validate(FIELDS | fields))

        specs = block(METHODS, [5], [0], sequence=[LOW, HIGH])
        specs += [spec for spec in block(FEW, [1, 5], [0, 1], sequence=[LOW, HIGH]) if spec not in specs]
        for task in (LOW, HIGH):
            specs += block(["ridge"], [1, 5], [0], task=task)
        report = runner.run(specs)
        assert not report.problems
        yield (
            runner.store,
            {
                (record.spec.task, record.spec.method, record.spec.shots, record.spec.seed): record
                for record in report.records
            },
        )


@pytest.mark.slow
def test_every_stage_is_scored_on_every_task(finished):
    store, records = finished
    for (task, method, shots, _), record in records.items():
        if task != BOTH or method == "svm":
            continue
        assert record.status == "ok", record.reason
        assert [(stage.stage, stage.start) for stage in record.stages] == [
            (0, "sequence"), (1, "sequence"), (2, "sequence"), (2, "base"),
        ]  # fmt: skip
        assert all(len(scores) == 3 for stage in record.stages for scores in stage.scores.values())
        assert [stage.learnt for stage in record.stages] == ["", LOW, HIGH, HIGH]
        assert [stage.labels for stage in record.stages] == [0, 5 * shots, 5 * shots, 5 * shots]
        # Both tasks have as many queries, so that the score of a run is the mean over its tasks.
        last = record.stages[2].scores
        assert np.allclose(np.mean([last[LOW], last[HIGH]], axis=0), record.episode_scores)
        assert record.n_queries == 2 * 3 * 5 * 4
    assert not list(problems(store))


@pytest.mark.slow
def test_a_method_that_cannot_go_on_is_refused_by_name(finished):
    record = finished[1][BOTH, "svm", 5, 0]
    assert record.status == "skipped"
    assert record.reason.startswith("svm cannot go on")


@pytest.mark.slow
def test_a_stage_is_what_the_task_alone_gives(finished):
    _, records = finished
    for shots in (1, 5):
        record = records[BOTH, "ridge", shots, 0]
        assert record.stages[1].scores[LOW] == records[LOW, "ridge", shots, 0].episode_scores
        assert record.stages[3].scores[HIGH] == records[HIGH, "ridge", shots, 0].episode_scores


@pytest.mark.slow
def test_examples_of_one_task_teach_it(finished):
    record = finished[1][BOTH, "lda", 5, 0]
    before, first, last, alone = (stage.scores for stage in record.stages)
    assert np.mean(first[LOW]) > np.mean(before[LOW]) + 20
    assert np.mean(first[HIGH]) == pytest.approx(20, abs=15)  # of five classes, none was seen
    assert np.mean(last[HIGH]) > 50
    assert np.mean(alone[HIGH]) > 50


@pytest.mark.slow
def test_no_identity_of_a_single_task_knows_of_sequences(finished):
    _, records = finished
    single, both = records[LOW, "ridge", 5, 0].identity, records[BOTH, "ridge", 5, 0].identity
    assert set(single) == {
        "task", "prompt", "backbone", "method", "shots", "seed", "episodes", "queries", "ways", "precision", "config",
        "site", "data", "weights", "code", "libraries", "device", "protocol",
    }  # fmt: skip
    assert set(single["code"]) == {"task", "backbone", "method", "metric"}
    assert set(both["code"]) == {"task", "backbone", "method", "metric", "continual"}
    assert not records[LOW, "ridge", 5, 0].stages


@pytest.mark.slow
def test_rows_have_paired_differences(finished):
    store, records = finished
    rows = {(row.method, row.shots, row.task): row for row in sequence_rows(records.values())}
    assert len(rows) == 2 * (1 + 9 + len(FEW))
    row = rows["nearest_mean", 5, LOW]
    own = [records[BOTH, "nearest_mean", 5, seed] for seed in (0, 1)]
    lost = [
        a - b for record in own for a, b in
        zip(record.stages[1].scores[LOW], record.stages[2].scores[LOW], strict=True)
    ]  # fmt: skip
    assert row.forgetting is not None
    assert row.forgetting.value == pytest.approx(np.mean(lost))
    assert row.forgetting.pairs == 6
    assert row.forgetting.value == 0  # means of other classes do not touch those of these, whatever was learnt later
    assert (row.plasticity, row.nll_rise, row.labels_to_base) == (None, None, None)
    row = rows["ridge [lam=0.1]", 5, HIGH]
    assert row.forgetting is None
    assert row.plasticity is not None
    assert row.plasticity.low <= row.plasticity.value <= row.plasticity.high
    assert row.per_label.value == pytest.approx((row.learnt - row.before) / 25)
    results = Results(records.values(), store.root)
    assert "forgetting" in results.sequences()
    assert results.sequences("markdown").count("| digits_split") == len(rows)
    assert Results([records[LOW, "ridge", 5, 0]], store.root).sequences() == ""


@pytest.mark.slow
def test_episodes_of_a_sequence_are_those_of_its_tasks():
    data = registry.make_task(BOTH).load(None)
    assert isinstance(data, SequenceData)
    episodes = draw_episodes(data, EpisodeSpec(BOTH, 3, 2, 2, 4, None))
    assert episodes.stages == (10, 10)
    for number, part in enumerate(data.parts):
        own = draw_episodes(part.data, EpisodeSpec(part.name, 3, 2, 2, 4, None))
        assert (episodes.support[:, episodes.stage_bounds()[number]] - part.support_start == own.support).all()
        columns = data.part_of_query(episodes.query[0]) == number
        assert (episodes.query[:, columns] - part.query_start == own.query).all()
        assert (episodes.query_labels[:, columns] == part.classes[own.query_labels]).all()


def test_classes_of_one_name_are_one_class():
    data = registry.make_task("lexicon then lexicon_swapped").load(None)
    assert data.classes == (" negative", " positive")
    words = [data.parts[number].data.support for number in (0, 1)]
    assert words[0].inputs["input"] == words[1].inputs["input"]
    assert (words[0].labels == 1 - words[1].labels).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sequence": ["lexicon"]}, "two tasks or more"),
        ({"sequence": ["lexicon", "lexicon", "digits"]}, "one kind"),
        ({"sequence": ["lexicon", "digits"]}, "one kind"),
        ({"sequence": ["lexicon", "pydoc_text"]}, "tasks with classes"),
        ({"sequence": ["lexicon", "nonsense"]}, "nonsense"),
        ({"sequence": [LOW, HIGH], "task": "digits"}, "leave one out"),
        ({"sequence": [LOW, HIGH], "budget": {"adapt_seconds": 1}}, "takes no budget"),
        ({"sequence": [LOW, HIGH], "ways": 3}, "takes no ways"),
    ],
)
def test_what_is_no_sequence_is_refused_in_one_line(fields, message):
    with pytest.raises((UsageError, ValueError), match=message):
        expand(Block.model_validate({"methods": ["ridge"], **fields}))


def test_the_shipped_suite_expands():
    suite = load_suite("sequence_small")
    specs = [spec for block in suite.blocks for spec in expand(block)]
    assert {spec.task for spec in specs} == {BOTH, "lexicon then lexicon_swapped"}


@pytest.mark.slow
def test_a_trained_language_model_is_measured_on_generic_texts(cache, brief_costs, tmp_path, monkeypatch):
    """One that leaves the model as it is is not."""
    folder = save_model(tmp_path / "llama", "llama", context=96)
    monkeypatch.setattr(generic_texts, "CHARACTERS", 80)
    generic_texts.generic_texts.cache_clear()
    block = {
        "sequence": ["lexicon", "lexicon_swapped"], "backbone": f"hf:{folder}",
        "methods": ["lora", "zero_shot", "faast@hidden_states"],
        "shots": [2], "episodes": 2, "queries": 2, "set": {"lora": {"steps": 2, "lr": 0.1}},
    }  # fmt: skip
    report = runner_in(tmp_path).run(expand(Block.model_validate(block)))
    generic_texts.generic_texts.cache_clear()
    names = ("lora", "zero_shot", "faast")
    lora, zero, inside = (next(one for one in report.records if one.spec.method == name) for name in names)
    assert [one.status for one in (lora, zero, inside)] == ["ok"] * 3, (lora.reason, zero.reason, inside.reason)
    assert lora.stages[0].text_nll == inside.stages[0].text_nll != inside.stages[1].text_nll
    assert [len(stage.text_nll) for stage in lora.stages] == [20] * 4
    base = CausalLM(folder)
    texts = list(generic_texts.generic_texts().texts)
    generic_texts.generic_texts.cache_clear()
    assert len(texts) == 20
    assert lora.stages[0].text_nll != lora.stages[1].text_nll
    assert lora.stages[1].text_nll != lora.stages[2].text_nll
    found = base.loglikelihood_rolling(texts, 256, None).double()
    assert np.allclose(lora.stages[0].text_nll, (found[:, 0] / found[:, 1]).tolist(), rtol=1e-4)
    assert not any(stage.text_nll for stage in zero.stages)
    assert len({str(stage.scores) for stage in zero.stages}) == 1
    row = sequence_rows([lora])[0]
    assert row.nll_rise is not None
    assert row.nll_rise.pairs == 20
    assert "pydoc_text" in lora.notes["generic_texts"]


def test_a_payload_of_a_sequence_has_no_query_labels():
    data = registry.make_task(BOTH).load(None)
    none = np.full(len(data.query.labels), -1)
    source = EpisodeSource(
        data, None, None, FeatureTable("support", np.full(len(data.support.labels), -1)), FeatureTable("query", none)
    )
    payload = payload_of(source, draw_episodes(data, EpisodeSpec(BOTH, 0, 2, 1, 2, None)))
    assert not payload.data.query.labels.any()
    assert not payload.episodes.query_labels.any()
    assert payload.episodes.stages == (5, 5)
    assert not isinstance(payload.data, SequenceData)
