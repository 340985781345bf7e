"""Language rows: lm-evaluation-harness on the same model, texts and tokens."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pyarrow.parquet as parquet
import torch
import yaml
from torch import Tensor

from bench.contracts import EpisodePredictions
from bench.registry import make_metric
from bench.results.store import Store
from tasks.wikitext103 import articles
from tests.helpers.places import ROOT
from tests.peers.row import Check, NotRunError, Place, Ready, Row
from tests.perf.language import forward, model

PEER = "lm-evaluation-harness 0.4.13"
PROMPT, ANSWERS = "Review: {text}\nSentiment:", (" negative", " positive")
BATCHES = {"32-true": ("float32", 32), "bf16-true": ("bfloat16", 32)}
"""The peer's name of a precision, and its batch size for short prompts, which was not tuned."""
BF16 = ("avx512_bf16", "amx_bf16", "bf16")
"""Instructions of a CPU that computes in bfloat16 itself, by torch's names; others emulate it and are slower by it."""
WINDOW = 1024
ROLLING_BATCH = 4
SHOTS = 5


def reviews(place: Place, split: str, most: int) -> tuple[list[str], list[int], str]:
    """Sentences with labels, and a note where Python's own documentation stands in for SST-2."""
    if file := place.file(f"sst2/{split}.parquet"):
        rows = parquet.read_table(file).slice(0, most).to_pydict()
        return rows["sentence"], rows["label"], ""
    lines = [line.strip() for _, text in sorted(topics.items()) for line in text.split("\n\n")]
    lines = [" ".join(line.split())[:120] for line in lines if len(line) > 30][:most]
    return lines, [number % 2 for number in range(len(lines))], "lines of Python's documentation stand in for SST-2."


@cache
def peer_model(max_length: int | None, batch: int) -> Any:
    """The same converted weights, loaded by the other harness."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(
        pretrained=str(model()._folder), dtype="float32", device="cpu", batch_size=batch, max_length=max_length
    )  # fmt: skip


def requests(kind: str, arguments: list[tuple[Any, ...]]) -> list[Any]:
    """Requests of the other harness."""
    from lm_eval.api.instance import Instance

    return [
        Instance(request_type=kind, doc={}, arguments=each, idx=number) for number, each in enumerate(arguments)  # type: ignore[arg-type]
    ]  # fmt: skip


# Whole processes.


def whole_process(place: Place, count: int, precision: str) -> Ready:
    """Both command lines, from the interpreter's start to the last file."""
    if precision == "bf16-true" and not any(torch.cpu.get_capabilities().get(name) for name in BF16):
        raise NotRunError(f"this CPU has no bfloat16 of its own ({', '.join(BF16)})")
    count = place.size(count, 12)
    texts, labels, note = reviews(place, "validation", count)
    train, train_labels, _ = reviews(place, "train", 100)
    data, tasks = place.folder / "data", place.folder / "tasks"
    for split, (sentences, given) in {"train": (train, train_labels), "validation": (texts, labels)}.items():
        (data / "sst2").mkdir(parents=True, exist_ok=True)
        _write(data / "sst2" / f"{split}.parquet", sentences, given)
    tasks.mkdir()
    rows = [
        {"prompt": PROMPT.format(text=text), "label": label} for text, label in zip(texts, labels, strict=True)
    ]  # fmt: skip
    (tasks / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = {
        "task": "same_sst2", "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"validation": str(tasks / "rows.jsonl")}},
        "output_type": "multiple_choice", "validation_split": "validation", "doc_to_text": "{{prompt}}",
        "doc_to_target": "label", "doc_to_choice": [answer.strip() for answer in ANSWERS],
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }  # fmt: skip
    (tasks / "same_sst2.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    dtype, batch = BATCHES[precision]
    environment = {
        **os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "WANDB_MODE": "offline",
        "HF_HOME": str(place.folder / "hf"),
    }  # fmt: skip
    numbers = iter(range(10_000))

    def call(words: list[str]) -> None:
        subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
        )  # fmt: skip

    def ours() -> float:
        store = place.folder / f"store{next(numbers)}"
        call([
            "bench", "run", "--task", "sst2", "--method", "zero_shot", "--backbone", "smollm2_135m", "--shots", "1",
            "--episodes", "1", "--queries", "all", "--precision", precision, "--accelerator", "cpu",
            "--logger", "none", "--data", str(data), "--store", str(store),
        ])  # fmt: skip
        (record,) = Store(store)
        return float(record.value) / 100

    def peer() -> float:
        out = place.folder / f"lm_eval{next(numbers)}"
        call([
            "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={model_folder()},dtype={dtype}",
            "--tasks", "same_sst2", "--include_path", str(tasks), "--device", "cpu", "--batch_size", str(batch),
            "--output_path", str(out),
        ])  # fmt: skip
        (file,) = out.rglob("results_*.json")
        return float(json.loads(file.read_text(encoding="utf-8"))["results"]["same_sst2"]["acc,none"])

    def compare(mine: float, other: float) -> list[Check]:
        # Rounding in bfloat16 depends on how rows are batched, and decides ties: of one item in a hundred at most.
        items = 0 if precision == "32-true" else count // 100
        found = f"accuracy {mine:.4f} and {other:.4f}"
        return [Check("accuracy", round(abs(mine - other) * count) <= items, found)]

    if len(texts) < 872:
        note = f"{note} The first {len(texts)} items of 872.".strip()
    return Ready(ours, peer, compare, rounds=1, note=note)


def _write(path: Path, texts: list[str], labels: list[int]) -> None:
    import pyarrow

    parquet.write_table(pyarrow.table({"sentence": texts, "label": labels}), path)


@cache
def model_folder() -> Path:
    """Folder of the converted model."""
    return Path(model()._folder)


# In one process, with both models loaded.


def bare(place: Place) -> Ready:
    """Scoring against a bare forward pass on the same tokens, sorted by length: what any harness has to do."""
    texts, _, note = reviews(place, "validation", place.size(200, 8))
    backbone, prompts = model(), [PROMPT.format(text=text) for text in texts]
    rows = [backbone.tokenizer(prompt)["input_ids"] for prompt in prompts]

    def peer() -> None:
        forward(backbone.model.base_model, rows)

    def compare(mine: Tensor, other: None) -> list[Check]:
        passed = bool(mine.isfinite().all()) and mine.shape == (len(prompts), len(ANSWERS))
        return [Check("finite", passed, f"{mine.numel():,} log-probabilities")]

    return Ready(
        lambda: backbone.loglikelihood("", prompts, ANSWERS), peer, compare, rounds=3, note=note,
        warm=lambda: (peer(), backbone.loglikelihood("", prompts, ANSWERS)),
    )  # fmt: skip


def shared_context(place: Place) -> Ready:
    """Five demonstrations before every query."""
    texts, _, note = reviews(place, "validation", place.size(64, 6))
    shown, labels, _ = reviews(place, "train", SHOTS)
    context = "".join(
        f"{PROMPT.format(text=text)}{ANSWERS[label]}\n\n" for text, label in zip(shown, labels, strict=True)
    )  # fmt: skip
    prompts = [PROMPT.format(text=text) for text in texts]
    given = requests("loglikelihood", [(context + prompt, answer) for prompt in prompts for answer in ANSWERS])

    def peer() -> Tensor:
        found = peer_model(None, BATCHES["32-true"][1]).loglikelihood(given, disable_tqdm=True)
        return torch.tensor([score for score, _ in found]).view(len(prompts), len(ANSWERS))

    def compare(mine: Tensor, other: Tensor) -> list[Check]:
        error = float((mine - other).abs().max())
        same = bool((mine.argmax(-1) == other.argmax(-1)).all())
        return [
            Check("log-probabilities", error <= 1e-3, f"log-probabilities within {error:.1e}"),
            Check("predictions", same, f"{len(prompts)} predictions equal" if same else "predictions"),
        ]

    peer_model(None, BATCHES["32-true"][1])
    return Ready(
        lambda: model().loglikelihood(context, prompts, ANSWERS), peer, compare, rounds=3,
        note=note,
    )  # fmt: skip


def perplexity(place: Place) -> Ready:
    """Rolling windows over whole articles."""
    if file := place.file("wikitext/test.parquet"):
        rows = parquet.read_table(file)["text"].to_pylist()
        texts, note = articles(rows)[:3], ""
        texts = [text[: place.size(10**6, 3000)] for text in texts[: place.size(3, 1)]]
    else:
        texts = [text for _, text in sorted(topics.items()) if len(text) > 8000][:2]
        note = "topics of Python's documentation stand in for WikiText."
    given = requests("loglikelihood_rolling", [(text,) for text in texts])

    def ours() -> Tensor:
        return model().loglikelihood_rolling(texts, WINDOW, "rolling")

    def peer() -> Tensor:
        found = peer_model(WINDOW, ROLLING_BATCH).loglikelihood_rolling(given, disable_tqdm=True)
        return torch.tensor(found, dtype=torch.float64)

    def compare(mine: Tensor, other: Tensor) -> list[Check]:
        from lm_eval.api.metrics import weighted_perplexity
        from lm_eval.api.task import PerplexityTask

        metric = make_metric("word_perplexity")
        predictions = EpisodePredictions(scores=mine.double().numpy(), texts=tuple(texts))
        one = metric.episode_score(metric.query_values(predictions))
        words = [PerplexityTask.count_words(text) for text in texts]
        two = weighted_perplexity(list(zip(other.tolist(), words, strict=True)))
        error = abs(one - two) / two
        return [Check("perplexity", error <= 1e-4, f"perplexity per word {one:.4f} and {two:.4f}")]

    peer_model(WINDOW, ROLLING_BATCH)
    return Ready(ours, peer, compare, rounds=2, note=note)


ROWS = (
    Row(
        name="sst2", peer=PEER, goal=1.4, checks=("accuracy",), make=lambda place: whole_process(place, 872, "32-true"),
        work="SST-2 validation, SmolLM2-135M in float32, choice by log-probability, the whole process",
        reason="Most of both processes is the network's own passes, which are the same; ours also counts "
        "operations and measures the costs of the run, and the other reads one row for both answers as "
        "ours does.",
    ),
    Row(
        name="sst2_bf16", peer=PEER, goal=2, checks=("accuracy",),
        make=lambda place: whole_process(place, 872, "bf16-true"),
        work="the same in bfloat16, both",
        reason="Ours scores 16 prompts in both precisions, for the error that the record names; starting and loading "
        "take as long as in float32.",
    ),
    Row(
        name="bare_forward", peer="a bare `model.forward`", goal=1 / 1.05, checks=("finite",), make=bare,
        work="scoring 200 prompts of SST-2 against the pass alone, on the same tokens sorted by length",
        reason="Besides the pass there is a product with the output embedding at one position of each prompt, and"
        " the tokenizer.",
    ),
    Row(
        name="shared_context", peer=PEER, goal=5, checks=("log-probabilities", "predictions"), make=shared_context,
        work="SST-2, 5-shot, one context for 64 queries, both models loaded",
        reason="The other harness reads the context once per query; how much that costs depends on how much "
        "longer the context of five demonstrations is than a query, 7 times in tokens.",
    ),
    Row(
        name="perplexity", peer=PEER, goal=1.2, checks=("perplexity",), make=perplexity,
        work="perplexity of three articles of the WikiText test text, rolling windows of 1,024, both models loaded",
        reason="Every token is scored, so that both need all logits and the same passes; what is saved is the "
        "logarithm of all 49,152 probabilities of a token where one is wanted.",
    ),
)  # fmt: skip
