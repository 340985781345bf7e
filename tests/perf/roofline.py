"""What each stage takes against what this machine can do: ``python -m tests.perf.roofline JSON PAGE``.

The limit of a stage is the larger of two times: its operations at the rate of a large matrix product, and the bytes
that it moves at the rate of a stream, both measured in the same process. Bytes are the inputs, weights and results
that do not fit a cache, each moved once; operations are those that the result needs.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import normalize, one_hot

from bench.backbones.efficientnet_lite0 import EfficientNetLite0
from bench.meters.flops import FlopMeter
from methods._fast_weights import FastWeights
from tests.helpers.docs import replace_section
from tests.perf.cases import ALPHA, DIM, WAY
from tests.perf.language import WINDOW, model, texts
from tests.perf.report import machine

STREAM = 2**25
"""Numbers of each of the three arrays of the stream: 128 MiB in float32, several times a cache."""
PRODUCT = 2048
EXPLAINED = 1.3
"""Ratio to the limit from which on a stage needs an explanation."""
ROUNDS = 3


@dataclass(frozen=True)
class Rates:
    """What the machine does a second.

    Attributes:
        bytes: Bytes of a stream, by number of threads.
        operations: Operations of a matrix product, by type and number of threads.
    """

    bytes: dict[int, float]
    operations: dict[tuple[torch.dtype, int], float]


@dataclass(frozen=True)
class Stage:
    """A stage with its inputs made.

    Attributes:
        what: What is done.
        run: Function that does it.
        operations: Floating-point operations that the result needs.
        bytes: Bytes to move at least.
        dtype: Type of the operations.
        explanation: Why the limit is not reached.
    """

    what: str
    run: Callable[[], Any]
    operations: float
    bytes: float
    dtype: torch.dtype
    explanation: str

    def limit(self, rates: Rates) -> float:
        """Seconds that it takes at least on all threads."""
        threads = max(rates.bytes)
        return max(self.operations / rates.operations[self.dtype, threads], self.bytes / rates.bytes[threads])


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Context with a number of torch's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seconds(run: Callable[[], Any], rounds: int = ROUNDS, best: bool = False) -> float:
    """Median, or least, time of some calls after one that is not timed."""
    run()
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        found.append(time.perf_counter() - began)
    return min(found) if best else statistics.median(found)


def measured_rates(stream: int = STREAM, product: int = PRODUCT) -> Rates:
    """Rates with one thread and with all; the best of the rounds, as they are to be limits."""
    counts = sorted({1, torch.get_num_threads()})
    first, second, result = (torch.ones(stream) for _ in range(3))
    moved, done = {}, {}
    for count in counts:
        with threads(count):
            moved[count] = 3 * 4 * stream / seconds(lambda: torch.add(first, second, alpha=2, out=result), 8, best=True)
            for dtype in (torch.float32, torch.float64):
                matrix = torch.rand(product, product, dtype=dtype)
                done[dtype, count] = 2 * product**3 / seconds(lambda m=matrix: m @ m, best=True)
    return Rates(moved, done)


def gram_stream(n_items: int = 50_000) -> Stage:
    """The sums of FAAST over many keys, in batches."""
    keys = normalize(torch.randn(1, n_items, DIM, generator=torch.Generator().manual_seed(0)), dim=-1)
    values = one_hot(torch.randint(WAY, (1, n_items)), WAY).float()

    def run() -> FastWeights:
        memory = FastWeights(1, DIM, WAY, n_items=n_items, alpha=ALPHA)
        for start in range(0, n_items, 4096):
            part = keys[:, start : start + 4096]
            memory.observe(part, values[:, start : start + 4096], torch.ones(part.shape[:2], dtype=torch.bool))
        return memory

    return Stage(
        what=f"Gram stream of FAAST, {n_items:,} x {DIM:,} keys in float64",
        run=run,
        # Half of a symmetric matrix, and the sums of the values.
        operations=n_items * DIM * (DIM + 1) + 2 * n_items * DIM * WAY,
        bytes=4 * n_items * (DIM + WAY),
        dtype=torch.float64,
        explanation="A block triangle of 4 columns computes 5/8 of the matrix where the limit counts 1/2, and keys are "
        "widened to float64 first.",
    )


def closed_form(episodes: int = 600, shots: int = 5) -> Stage:
    """FAAST's solve of few-shot episodes."""
    n_items = WAY * shots
    keys = normalize(torch.randn(episodes, n_items, DIM, generator=torch.Generator().manual_seed(0)), dim=-1)
    values = one_hot(torch.arange(WAY).repeat_interleave(shots), WAY).float()

    def run() -> None:
        for start in range(0, episodes, 64):
            part = keys[start : start + 64]
            memory = FastWeights(len(part), DIM, WAY, n_items=n_items, alpha=ALPHA)
            memory.observe(part, values.expand(len(part), -1, -1), torch.ones(part.shape[:2], dtype=torch.bool))
            memory.solve()

    each = (
        n_items * (n_items + 1) * DIM  # half of the dual Gram matrix
        + 2 * n_items**3 / 3  # a Cholesky factor and its inverse
        + 4 * n_items**2 * WAY  # the values through both
        + 2 * n_items * DIM * WAY  # the map
    )
    return Stage(
        what=f"FAAST's solve, {episodes} episodes, {WAY}-way {shots}-shot, d = {DIM:,}, in float64",
        run=run,
        operations=episodes * each,
        bytes=episodes * 4 * (n_items * DIM + WAY * DIM),
        dtype=torch.float64,
        explanation=f"Keys are widened to float64, which moves three times the bytes; products have sides of {n_items} "
        f"and {WAY}, and LAPACK takes the {n_items} x {n_items} factors one by one: neither reaches the rate of a "
        "large product.",
    )


def scoring(count: int = 24) -> Stage:
    """Perplexity of texts with the embedded language model."""
    backbone, given = model(), texts(count, 900)
    rows = [backbone.tokenizer(text)["input_ids"][:WINDOW] for text in given]
    cut = [backbone.tokenizer.decode(row) for row in rows]
    tokens = sum(map(len, rows))

    def run() -> None:
        backbone.loglikelihood_rolling(cut, WINDOW, None)

    parameters = sum(parameter.numel() for parameter in backbone.model.parameters())
    with FlopMeter() as counter:
        run()
    return Stage(
        what=f"scoring {tokens:,} tokens in {count} texts, SmolLM2-135M in float32",
        run=run,
        operations=counter.total,
        bytes=4 * parameters,
        dtype=torch.float32,
        explanation="Norms, rotary positions, activations and the logarithm over 49,152 logits a token move tens of "
        "MB between products, which the limit does not count; products of 576 columns stay below the rate of large "
        "ones.",
    )


def encoding(n_images: int = 256) -> Stage:
    """Keys and priors of images of CIFAR-10's size."""
    backbone = EfficientNetLite0().eval()
    pixels = np.random.default_rng(0).integers(0, 256, (n_images, 32, 32, 3), dtype=np.uint8)
    images = [Image.fromarray(each) for each in pixels]

    def run() -> None:
        for start in range(0, n_images, 32):
            batch = backbone.collate([backbone.prepare(image) for image in images[start : start + 32]])
            backbone.encode(batch)

    batch = backbone.collate([backbone.prepare(images[0])])
    # The first call also embeds the class names.
    backbone.encode(batch)
    # A counter sees the operations of its own thread, and with gradients enabled a backbone stays in it.
    with FlopMeter() as counter, torch.enable_grad():
        backbone.encode(batch)
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    return Stage(
        what=f"encoding {n_images} images of 32 x 32 pixels, EfficientNet-Lite0, resizing included",
        run=torch.inference_mode()(run),
        operations=n_images * counter.total,
        bytes=4 * (parameters + n_images * batch.numel()),
        dtype=torch.float32,
        explanation="Depthwise convolutions do 9 to 25 operations for each number that they read, a tenth of what "
        "keeps the cores busy; they and the activations between layers bound the network, not the pointwise products. "
        "Resizing by PIL is a part besides.",
    )


STAGES = (gram_stream, closed_form, scoring, encoding)


def section(found: dict[str, Any]) -> str:
    """The section as Markdown."""
    lines = [f"Machine: {found['machine']}.", "", "| rate | 1 thread | all threads |", "|---|---:|---:|"]
    lines += [f"| {rate['name']} | {rate['one']:.1f} | {rate['all']:.1f} |" for rate in found["rates"]]
    lines += ["", "| stage | GFLOP | MB | limit | measured | times the limit |", "|---|---:|---:|---:|---:|---:|"]
    for stage in found["stages"]:
        lines.append(
            f"| {stage['what']} | {stage['gflop']:.3g} | {stage['mb']:.3g} | {stage['limit']:.3g} s | "
            f"{stage['seconds']:.3g} s | {stage['ratio']:.2f} |"
        )
    slow = [stage for stage in found["stages"] if stage["ratio"] > EXPLAINED]
    return "\n".join([*lines, *([""] if slow else []), *(f"- {each['what']}: {each['explanation']}" for each in slow)])


def measured() -> dict[str, Any]:
    """All rates and stages."""
    rates = measured_rates()
    most = max(rates.bytes)
    rows = [{"name": "stream, GB/s", "one": rates.bytes[1] / 1e9, "all": rates.bytes[most] / 1e9}]
    for dtype in (torch.float32, torch.float64):
        one, every = (rates.operations[dtype, count] / 1e9 for count in (1, most))
        rows.append({"name": f"matrix product, {str(dtype).removeprefix('torch.')}, GFLOP/s", "one": one, "all": every})
    stages = []
    for make in STAGES:
        stage = make()
        taken, limit = seconds(stage.run), stage.limit(rates)
        stages.append({
            "name": stage.what, "unit": "times the limit", "value": round(taken / limit, 3), "what": stage.what,
            "gflop": stage.operations / 1e9, "mb": stage.bytes / 1e6, "limit": limit, "seconds": taken,
            "ratio": taken / limit, "explanation": stage.explanation,
        })  # fmt: skip
    return {"machine": machine(), "rates": rows, "stages": stages}


def main(results: Path, page: Path) -> None:
    """Measure, and write a JSON file and the page's section."""
    found = measured()
    results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    replace_section(page, "limits", section(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
