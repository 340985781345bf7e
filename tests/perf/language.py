"""What is timed against what, on the embedded language model."""

from collections.abc import Callable
from functools import cache
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.backbones._texts import by_length, padded, positions_at_once
from bench.backbones.smollm2_135m import PLUGIN
from bench.contracts import Classes, Inputs, Kind, LanguageBackbone, ProblemShape, Support
from bench.meters.memory import memory_meter
from methods._fast_weights import FastWeights
from methods.faast import FaastOnHiddenStates, FaastOnHiddenStatesConfig
from tests.perf.cases import Case

WINDOW = 256
ANSWERS = (" negative", " positive")


@cache
def model() -> Any:
    """The backbone, loaded once."""
    return PLUGIN().eval()


def texts(count: int, characters: int) -> list[str]:
    """The beginnings of topics of Python's own documentation, of different lengths."""
    found = [text for _, text in sorted(topics.items()) if len(text) >= characters]
    return [text[: characters // (1 + number % 3)] for number, text in enumerate(found[:count])]


def forward(run: Callable[..., Any], rows: list[list[int]]) -> None:
    """The network alone on rows of like length together, as ``LanguageBackbone.tokens`` batches them."""
    cpu = torch.device("cpu")
    for batch in by_length([len(row) for row in rows], positions_at_once(cpu)):
        tokens = padded([rows[index] for index in batch], cpu)
        with torch.no_grad():
            run(input_ids=tokens.ids, attention_mask=tokens.mask, use_cache=False)


def scoring(count: int = 24) -> Case:
    """Perplexity of texts against the network's own forward pass on the same tokens."""
    backbone, given = model(), texts(count, 900)
    rows = [backbone.tokenizer(text)["input_ids"][:WINDOW] for text in given]
    cut = [backbone.tokenizer.decode(row) for row in rows]
    return Case(
        what=f"scoring {count} texts of up to {WINDOW} tokens, SmolLM2-135M",
        against="bare `model.forward` on the same tokens, sorted by length",
        promise=0.85,
        ours=lambda: backbone.loglikelihood_rolling(cut, WINDOW, None),
        other=lambda: forward(backbone.model, rows),
    )


def shared_demonstrations(shots: int = 16, queries: int = 32, alone: int = 4) -> Case:
    """In-context learning with the demonstrations read once, against once per query."""
    backbone = model()
    words = [name for name in sorted(topics) if name.isalpha()]
    prompts = [f"Word: {word.lower()}\nSentiment:" for word in words[: shots + queries]]
    context = "".join(f"{prompt}{ANSWERS[number % 2]}\n" for number, prompt in enumerate(prompts[:shots]))
    requested = prompts[shots:]

    def one_by_one() -> Tensor:
        return torch.cat([backbone.loglikelihood(context, [prompt], ANSWERS) for prompt in requested[:alone]])

    def error() -> float:
        together = backbone.loglikelihood(context, requested, ANSWERS)[:alone]
        return float((together - one_by_one()).abs().max())

    return Case(
        what=f"in-context learning, {shots} demonstrations shared by {len(requested)} queries",
        against=f"reading them again for each query ({alone} of them timed)",
        promise=5,
        ours=lambda: backbone.loglikelihood(context, requested, ANSWERS),
        other=one_by_one,
        other_share=alone / len(requested),
        error=error,
        error_of="the log-probabilities one by one (absolute)",
    )


def _support(given: list[str]) -> Support:
    shape = (1, len(given))
    none = torch.zeros(*shape, 0)
    return Support(
        keys=none,
        prior=none,
        mask=torch.ones(shape, dtype=torch.bool),
        classes=Classes(torch.zeros(1, 1, 0), (("text",),)),
        inputs=Inputs(np.arange(len(given))[None], lambda wanted: [given[position] for position in wanted]),
        labels=torch.zeros(shape, dtype=torch.long),
    )


def _adapt(backbone: LanguageBackbone, given: list[str]) -> FaastOnHiddenStates:
    shape = ProblemShape(1, 1, len(given), 0, 0, 0.0, "\n", 0, Kind.LANGUAGE_MODELLING)
    method = FaastOnHiddenStates(FaastOnHiddenStatesConfig(window=WINDOW), backbone, shape)
    method.observe(_support(given))
    method.solve()
    return method


def adapting(count: int = 24) -> Case:
    """FAAST's adapt against one forward pass over the support text and one solve."""
    backbone, given = model(), texts(count, 900)
    rows = [
        row[start : start + WINDOW]
        for row in (backbone.tokenizer(text)["input_ids"] for text in given)
        for start in range(0, len(row), WINDOW)
    ]
    n_pairs = sum(len(row) - 1 for row in rows)
    rng = torch.Generator().manual_seed(0)
    keys, values = (torch.randn(1, n_pairs, backbone.width, generator=rng) for _ in range(2))
    mask = torch.ones(1, n_pairs, dtype=torch.bool)

    def other() -> None:
        forward(backbone.model.base_model, rows)
        memory = FastWeights(1, backbone.width, backbone.width, n_items=n_pairs, alpha=1.0)
        memory.observe(keys, values, mask)
        memory.solve()

    return Case(
        what=f"FAAST's adapt inside SmolLM2-135M, {n_pairs:,} tokens",
        against="one forward pass over the support and one solve",
        promise=1 / 1.15,
        ours=lambda: _adapt(backbone, given),
        other=other,
    )


def memory_of_adapting(count: int = 64, times: int = 2) -> Case:
    """FAAST's peak memory while adapting to a text, enough to fill a batch, and to several times as much of it."""
    backbone, given = model(), texts(count, 900)

    def peak(repeats: int) -> int:
        meter = memory_meter(torch.device("cpu"))
        meter.start()
        _adapt(backbone, given * repeats)
        return round(meter.peak())

    return Case(
        what=f"peak memory of FAAST's adapt on {times} times {count} support texts",
        against="on the texts once",
        promise=0.8,
        ours=lambda: peak(times),
        other=lambda: peak(1),
        counted="MB",
    )


CASES = (scoring, shared_demonstrations, adapting, memory_of_adapting)
