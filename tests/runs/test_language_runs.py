"""Perplexity and translation all the way: task, tiny decoder, method, record, leaderboard."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sacrebleu.metrics.bleu import BLEU
from safetensors.torch import save_file

from bench.backbones.hf import CausalLM
from bench.reports.rows import rows
from bench.reports.tables import FORMATS
from bench.results.record import Record
from bench.results.verify import problems
from bench.runs.report import Report
from bench.runs.runner import Runner, same_process
from bench.spec.expand import expand
from bench.spec.suite import Block
from bench.testing.tiny_models import save_model
from bench.toolkit.readout_files import READOUT, SCORER
from tasks.longicl import LongIcl
from tests.helpers.language import harness_loss
from tests.helpers.longicl_rows import write
from tests.helpers.tables import compact
from tests.helpers.tiny_tasks import SENTENCES, TEXTS, TinyText, TinyTranslation, tiny_runner

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"), "llama", context=128)


@pytest.fixture
def runner(tmp_path: Path, cache: Path) -> Any:
    with tiny_runner(tmp_path, isolate=same_process) as made:
        yield made


def run(runner: Runner, model: Path, task: str, **changes: Any) -> Report:
    block = {"task": task, "backbone": f"hf:{model}", "methods": ["zero_shot", "faast"], "shots": [2]}
    return runner.run(expand(Block.model_validate(block | changes)))


def by_method(report: Report) -> dict[str, Record]:
    assert not report.failed, [record.reason for record in report.records] + report.problems
    return {record.spec.method: record for record in report.records}


def losses(model: Path, size: int) -> tuple[float, int]:
    """Summed negative log-likelihood of the queries in blocks, and the number of scored tokens."""
    backbone = CausalLM(model)
    total, count = 0.0, 0
    for text in TEXTS[3:]:
        ids = torch.tensor(backbone.tokenizer(text)["input_ids"])
        for block in ids.split(size):
            with torch.no_grad():
                logits = backbone.model(input_ids=block[None]).logits[0, :-1].double()
            total += float(torch.nn.functional.cross_entropy(logits, block[1:], reduction="sum"))
            count += len(block) - 1
    return total, count


def test_zero_shot_perplexity_is_that_of_plain_passes(runner: Runner, model: Path) -> None:
    record = by_method(run(runner, model, "tiny_text"))["zero_shot"]
    total, count = losses(model, TinyText.window)
    assert record.metric == "perplexity"
    assert record.value == pytest.approx(np.exp(total / count), rel=1e-4)
    assert 1 <= record.ci_low < record.value < record.ci_high
    assert record.n_queries == 3
    assert record.notes["scored_tokens"] == count
    assert runner.store.read(runner.store.path(record.id)) == record
    assert list(problems(runner.store)) == []  # the score follows from what is kept of each text


def test_shots_count_texts_and_what_is_learnt_changes_the_score(runner: Runner, model: Path) -> None:
    records = by_method(run(runner, model, "tiny_text"))
    support_tokens = records["faast"].notes["support_tokens"]
    lengths = [len(CausalLM(model).tokenizer(text)["input_ids"]) - 1 for text in TEXTS[:3]]
    assert support_tokens in {sum(lengths) - one for one in lengths}
    assert records["faast"].value != pytest.approx(records["zero_shot"].value, rel=1e-3)
    assert records["faast"].costs is not None
    assert records["faast"].costs.adapt.seconds > 0
    full = by_method(run(runner, model, "tiny_text", methods=["faast"], shots=["full"]))["faast"]
    assert full.notes["support_tokens"] == sum(lengths)


def test_a_changed_file_of_readouts_makes_another_run(runner: Runner, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "readouts.safetensors"
    chosen = {"methods": ["faast"], "set": {"faast": {"readouts": str(path)}}}
    found = []
    for change in (0.0, 0.5):
        tensors = {SCORER.format(0): torch.zeros(1, 64), READOUT.format(0): change * torch.eye(32)}
        save_file(tensors, path)
        found.append(by_method(run(runner, model, "tiny_text", **chosen))["faast"])
    assert found[0].id != found[1].id
    assert found[0].value != found[1].value


def test_half_precision_comes_near_full(runner: Runner, model: Path) -> None:
    methods = ["zero_shot", "faast", "in_context"]
    found = {}
    for precision in ("32-true", "bf16-true", "bf16-mixed"):
        if precision != "32-true":
            written = by_method(run(runner, model, "tiny_translation", methods=methods, precision=precision))
            assert written.keys() == set(methods)
        found[precision] = by_method(run(runner, model, "tiny_text", precision=precision))["zero_shot"].value
    assert found == pytest.approx(dict.fromkeys(found, found["32-true"]), rel=0.05)


def test_sliding_windows_score_more_tokens(runner: Runner, model: Path) -> None:
    record = by_method(run(runner, model, "tiny_text_sliding", methods=["zero_shot"]))["zero_shot"]
    backbone = CausalLM(model)
    assert record.notes["scored_tokens"] == sum(len(backbone.tokenizer(text)["input_ids"]) - 1 for text in TEXTS[3:])


def test_perplexity_per_word_is_that_of_lm_evaluation_harness(runner: Runner, model: Path) -> None:
    record = by_method(run(runner, model, "tiny_text_rolling", methods=["zero_shot"]))["zero_shot"]
    scored = [harness_loss(CausalLM(model), text, TinyText.window) for text in TEXTS[3:]]
    # A text that ends with a line break has an empty word behind it there.
    words = sum(len(re.split(r"\s+", text)) for text in TEXTS[3:])
    assert words == sum(len(text.split()) + 1 for text in TEXTS[3:])
    assert record.metric == "word_perplexity"
    assert record.value == pytest.approx(np.exp(sum(total for total, _ in scored) / words), rel=1e-5)
    assert (record.notes["scored_tokens"], record.notes["words"]) == (sum(count for _, count in scored), words)
    assert list(problems(runner.store)) == []


def test_translations_are_judged_by_sacrebleu(runner: Runner, model: Path) -> None:
    records = by_method(run(runner, model, "tiny_translation"))
    data = TinyTranslation().load(None)
    written = CausalLM(model).generate(data.query.inputs["input"][:], TinyTranslation.max_new_tokens)
    expected = BLEU().corpus_score(written, [list(data.query.targets or ())]).score
    assert records["zero_shot"].metric == records["faast"].metric == "bleu"
    assert records["zero_shot"].value == pytest.approx(expected)
    assert records["zero_shot"].n_queries == 3
    assert "tok:13a" in records["zero_shot"].notes["signature"]
    # A prompt with its answer and a line break, for both examples.
    tokens = [
        len(CausalLM(model).tokenizer(f"{prompt}{target}\n")["input_ids"]) - 1
        for prompt, target in zip(data.support.inputs["input"], data.support.targets or (), strict=True)
    ]
    assert records["faast"].notes["support_tokens"] == sum(tokens)
    assert list(problems(runner.store)) == []


def test_references_of_queries_reach_no_method(runner: Runner, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = by_method(run(runner, model, "tiny_translation", methods=["faast"]))["faast"]
    given: list[list[str]] = []

    def generate(self: CausalLM, prompts: list[str], max_new_tokens: int, *ending: Any) -> list[str]:
        given.append(list(prompts))
        return [""] * len(prompts)

    monkeypatch.setattr(CausalLM, "generate", generate)
    forced = Runner(runner.store, runner.devices, runner.reporter, force=True, isolate=same_process)
    by_method(run(forced, model, "tiny_translation", methods=["faast"]))
    assert given
    assert not any(sentence.upper() in prompt for prompts in given for prompt in prompts for sentence in SENTENCES)
    assert before.notes["support_tokens"] > 0


def test_labels_are_written_or_chosen_after_an_instruction(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LongIcl, "max_new_tokens", 4)
    read: list[str] = []
    generate = CausalLM.generate

    def remembered(self: CausalLM, prompts: list[str], *rest: Any) -> list[str]:
        read.extend(prompts)
        assert rest == (4, ("\n", "comment: "), 1)
        return generate(self, prompts, *rest)

    monkeypatch.setattr(CausalLM, "generate", remembered)
    given = Runner(
        runner.store, runner.devices, runner.reporter, data=write(tmp_path / "data", "goemotion"), isolate=same_process
    )
    model, methods = save_model(tmp_path / "model", "llama", context=640), ["zero_shot", "in_context", "faast"]
    for task, metric in (("longicl:goemotion", "exact_match"), ("longicl_choice:goemotion", "accuracy")):
        records = by_method(run(given, model, task, methods=methods, shots=[1]))
        assert {record.metric for record in records.values()} == {metric}
        assert {record.n_queries for record in records.values()} == {3}
        assert records["in_context"].notes["demonstrations_kept"] == 3  # one of each label
    assert {text.startswith(LongIcl("goemotion").instruction) for text in read} == {True}
    assert {text.count("emotion category:") for text in read} == {1, 4}
    assert list(problems(runner.store)) == []


def test_methods_that_need_classes_are_skipped_with_the_reason(runner: Runner, model: Path) -> None:
    report = run(runner, model, "tiny_text", methods=["knn", "zero_shot"])
    skipped = next(record for record in report.records if record.spec.method == "knn")
    assert skipped.status == "skipped"
    assert "tiny_text is language_modelling" in skipped.reason


def test_the_leaderboard_says_what_a_score_is(runner: Runner, model: Path) -> None:
    run(runner, model, "tiny_text", shots=[1, 2])
    run(runner, model, "tiny_translation")
    made = rows(runner.store)
    for shots in (1, 2):
        values = [row.value for row in made if row.task == "tiny_text" and row.shots == shots]
        assert values == sorted(values, key=lambda value: value or 0.0)
    stored = {record.id: record for record in runner.store}
    assert {(row.value, row.ci_low) for row in made} == {(record.value, record.ci_low) for record in stored.values()}
    markdown = compact(FORMATS["markdown"](made))
    assert "| shots | metric | score |" in markdown
    assert "| perplexity |" in markdown
    assert "score: BLEU or perplexity per token (lower is better), [95% interval]." in markdown
