"""Recurrent networks with fast weights (Ba et al. 2016, arXiv 1610.06258) on associative retrieval, beside IRNN, LSTM.

``python examples/fast_weights_rnn.py`` trains each arm with 20 and with 50 units and seeds 0 to 2, some 20 minutes on
one core, and prints a table. What ``--out`` has is not trained again. A network is no method of the harness: it is
trained from scratch, and there is no frozen backbone.

An input is a string of 4 pairs of letters and digits, two question marks and one of the letters, ``c9k8j3f1??c``; the
answer is the digit beside that letter. Strings are drawn anew for each step, and errors are of 20,000 others. As
published: embeddings of 100 units, a hidden output layer of 100 ReLU units, batches of 128, Adam, decay 0.95 and rate
0.5 of the fast weights, W started as 0.05 I. Ours: 10,000 steps at 1e-3, gradients clipped to length 5, ten outputs.

Arms: ``lstm``; ``irnn``, ``h(t+1) = relu(W h(t) + C x(t))``; ``irnn_ln``, the same with layer normalisation, which is
the network with fast weights that are not read (S = 0); ``fast`` and ``fast_ln``, with fast weights that are read once
(S = 1), without and with layer normalisation: the paper's network is ``fast_ln``. Without it what is read grows with
the cube of the states, from symbol to symbol; where all networks of an arm overflow, their training ends.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from scipy.special import stdtrit
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, layer_norm

LETTERS, DIGITS = 26, 10
SYMBOLS = LETTERS + DIGITS + 1
"""Letters, digits and the question mark, in this order."""
EMBEDDED, HIDDEN = 100, 100
DECAY, RATE = 0.95, 0.5
"""Of the fast weights."""
BATCH, LEARNING_RATE, CLIP = 128, 1e-3, 5.0
TESTED, WATCHED = 20_000, 2_000
"""Strings that an error is of: at the end, and while training goes on."""
TEST_SEED = 1_000_000
ARMS = ("irnn", "irnn_ln", "lstm", "fast", "fast_ln")
PUBLISHED_ORDER = ("fast_ln", "lstm")
"""At 20 units the first has fewer errors than the second."""


def strings(generator: torch.Generator, count: int, pairs: int) -> tuple[Tensor, Tensor]:
    """Draw inputs and answers.

    Args:
        generator: Random numbers.
        count: Number of strings.
        pairs: Pairs in a string; letters are distinct, digits drawn with replacement.

    Returns:
        Symbols ``[string, 2 pairs + 3]`` and digits ``[string]``.
    """
    letters = torch.rand(count, LETTERS, generator=generator).argsort(dim=1)[:, :pairs]
    digits = torch.randint(DIGITS, (count, pairs), generator=generator)
    place = torch.randint(pairs, (count, 1), generator=generator)
    shown = torch.stack([letters, LETTERS + digits], dim=2).flatten(1)
    marks = torch.full((count, 2), SYMBOLS - 1)
    return torch.cat([shown, marks, letters.gather(1, place)], dim=1), digits.gather(1, place)[:, 0]


@cache
def decays(count: int) -> Tensor:
    """Weights ``[count]`` of the last states, ``rate * decay^age``, the newest last."""
    return RATE * DECAY ** torch.arange(count - 1, -1, -1)


def read_fast_weights(states: Tensor, state: Tensor) -> Tensor:
    """``A h`` with ``A = rate * sum decay^age h(tau) h(tau)^T`` over earlier states, as attention without a softmax.

    Args:
        states: ``[..., time, unit]``, the newest last.
        state: ``[..., unit]``.

    Returns:
        ``[..., unit]``.
    """
    weights = decays(states.shape[-2]) * (states @ state.unsqueeze(-1)).squeeze(-1)
    return (weights.unsqueeze(-2) @ states).squeeze(-2)


class Networks(nn.Module):
    """Networks of one arm, one for each seed, which are computed together and do not depend on each other."""

    def __init__(self, arm: str, units: int, seeds: Sequence[int]) -> None:
        super().__init__()
        self.arm, self.units = arm, units
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]

        def drawn(rows: int, columns: int) -> nn.Parameter:
            each = [(2 * torch.rand(rows, columns, generator=one) - 1) / rows**0.5 for one in generators]
            return nn.Parameter(torch.stack(each))

        def zeros(columns: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(len(seeds), 1, columns))

        gates = 4 if arm == "lstm" else 1
        embedded = [torch.randn(SYMBOLS, EMBEDDED, generator=one) for one in generators]
        self.embedding = nn.Parameter(torch.stack(embedded))
        self.inputs, self.input_bias = drawn(EMBEDDED, gates * units), zeros(gates * units)
        self.recurrent = drawn(units, gates * units)
        if arm == "lstm":
            with torch.no_grad():
                self.input_bias[..., units : 2 * units] = 1  # forget gates start open
        else:
            self.recurrent = nn.Parameter(0.05 * torch.eye(units).repeat(len(seeds), 1, 1))
        self.gain, self.shift = nn.Parameter(torch.ones(len(seeds), 1, units)), zeros(units)
        self.hidden, self.hidden_bias = drawn(units, HIDDEN), zeros(HIDDEN)
        self.output, self.output_bias = drawn(HIDDEN, DIGITS), zeros(DIGITS)

    def forward(self, symbols: Tensor) -> Tensor:
        """Scores ``[seed, string, digit]`` of ``symbols [seed, string, time]``."""
        # Each symbol's input is computed once, and looked up for all places together: on tensors as small as these
        # the number of calls decides the time.
        table = torch.baddbmm(self.input_bias, self.embedding, self.inputs)
        steps = table[torch.arange(len(table))[:, None], symbols.permute(2, 0, 1)].unbind()
        state = self._lstm(steps) if self.arm == "lstm" else self._recurrent(steps)
        hidden = torch.baddbmm(self.hidden_bias, state, self.hidden).relu()
        return torch.baddbmm(self.output_bias, hidden, self.output)

    def _recurrent(self, steps: Sequence[Tensor]) -> Tensor:
        state = torch.zeros_like(steps[0])
        states = state.unsqueeze(2)[:, :, :0]
        for step in steps:
            total = torch.baddbmm(step, state, self.recurrent)
            new = total.relu()
            if self.arm == "irnn_ln":
                new = self._normalised(total).relu()
            elif self.arm.startswith("fast"):
                total = total + read_fast_weights(states, new)
                new = (self._normalised(total) if self.arm == "fast_ln" else total).relu()
            state = new
            states = torch.cat([states, state.unsqueeze(2)], dim=2)
        return state

    def _normalised(self, total: Tensor) -> Tensor:
        return layer_norm(total, (self.units,)) * self.gain + self.shift

    def _lstm(self, steps: Sequence[Tensor]) -> Tensor:
        state = cell = torch.zeros_like(steps[0][..., : self.units])
        for step in steps:
            gates, new = torch.baddbmm(step, state, self.recurrent).split([3 * self.units, self.units], dim=-1)
            entry, forget, read = gates.sigmoid().chunk(3, dim=-1)
            cell = forget * cell + entry * new.tanh()
            state = read * cell.tanh()
        return state

    def clip(self) -> None:
        """Scale the gradients of each network to a length of 5 at most."""
        gradients = [each.grad for each in self.parameters() if each.grad is not None]
        lengths = torch.stack([torch.linalg.vector_norm(each, dim=(1, 2)) for each in gradients])
        scale = (CLIP / torch.linalg.vector_norm(lengths, dim=0).clamp(min=1e-12)).clamp(max=1).view(-1, 1, 1)
        for each in gradients:
            each.mul_(scale)

    @torch.no_grad()
    def errors(self, count: int, pairs: int) -> list[float]:
        """Share of wrong answers of each network, in percent, on strings that are the same for all."""
        symbols, digits = strings(torch.Generator().manual_seed(TEST_SEED), count, pairs)
        networks = len(self.embedding)
        wrong = torch.zeros(networks)
        for part, wanted in zip(symbols.split(1000), digits.split(1000), strict=True):
            wrong += (self(part.repeat(networks, 1, 1)).argmax(dim=-1) != wanted).sum(dim=1)
        return [round(float(each), 4) for each in 100 * wrong / count]


@dataclass
class Training:
    """What one arm with one number of units is trained with, and what came out.

    Attributes:
        arm: One of ``ARMS``.
        units: Recurrent units.
        pairs: Pairs in a string.
        steps: Optimizer steps.
        seeds: A network for each.
        errors: Errors at the end in percent, by seed.
        curve: Errors on fewer strings after every tenth of the steps, ``[step, [error by seed]]``.
        seconds: Processor seconds of the training.
        overflowed: Step at which no network had a finite loss; None where one had until the end.
    """

    arm: str
    units: int
    pairs: int
    steps: int
    seeds: list[int]
    errors: list[float] = field(default_factory=list)
    curve: list[tuple[int, list[float]]] = field(default_factory=list)
    seconds: float = 0.0
    overflowed: int | None = None

    @property
    def key(self) -> str:
        """Name in the file of results."""
        seeds = ",".join(map(str, self.seeds))
        return f"{self.arm} units={self.units} pairs={self.pairs} steps={self.steps} seeds={seeds}"

    def run(self, say: Callable[[str], Any]) -> Networks:
        """Train the networks.

        Args:
            say: Receives a line at every tenth of the steps.

        Returns:
            The networks.
        """
        started = time.process_time()
        networks = Networks(self.arm, self.units, self.seeds)
        optimizer = torch.optim.Adam(networks.parameters(), lr=LEARNING_RATE, fused=True)
        generators = [torch.Generator().manual_seed(10_000 + seed) for seed in self.seeds]
        every = max(1, self.steps // 10)
        for step in range(1, self.steps + 1):
            drawn = [strings(one, BATCH, self.pairs) for one in generators]
            symbols, digits = (torch.stack(part) for part in zip(*drawn, strict=True))
            losses = cross_entropy(networks(symbols).transpose(1, 2), digits, reduction="none").mean(dim=1)
            if not losses.isfinite().any():
                self.overflowed = step
                break
            optimizer.zero_grad()
            losses.sum().backward()
            networks.clip()
            optimizer.step()
            if step % every == 0:
                self.curve.append((step, networks.errors(WATCHED, self.pairs)))
                say(f"{self.arm}, {self.units} units, step {step} of {self.steps}: errors {self.curve[-1][1]} %")
        self.errors = networks.errors(TESTED, self.pairs)
        self.seconds = round(time.process_time() - started, 1)
        return networks


def interval(errors: Sequence[float]) -> tuple[float, float, float]:
    """Mean of errors, and the ends of its 95% interval by Student's t within 0 to 100.

    Args:
        errors: Errors in percent, one for each seed.

    Returns:
        Mean, lower and upper end; the interval is 0 to 100 with one seed.
    """
    values = torch.tensor(list(errors), dtype=torch.float64)
    mean = float(values.mean())
    if len(values) < 2:
        return mean, 0.0, 100.0
    half = float(stdtrit(len(values) - 1, 0.975)) * float(values.std()) / len(values) ** 0.5
    return mean, max(0.0, mean - half), min(100.0, mean + half)


def results_table(found: dict[str, dict[str, Any]]) -> str:
    """Errors by arm and units as Markdown, and whether the paper's order at the fewest units is confirmed.

    Args:
        found: Trainings by key, as in the file of results.

    Returns:
        The text.
    """
    units = sorted({one["units"] for one in found.values()})
    errors = {(one["arm"], one["units"]): interval(one["errors"]) for one in found.values()}
    spans = {key: "{:.2f} [{:.2f}, {:.2f}]".format(*each) for key, each in errors.items()}
    for one in found.values():
        if (step := one.get("overflowed")) is not None:
            spans[one["arm"], one["units"]] = f"overflows at step {step}"
    lines = [f"| arm | {' | '.join(f'{count} units' for count in units)} |", "|---" * (len(units) + 1) + "|"]
    for arm in ARMS:
        cells = [spans.get((arm, count), "") for count in units]
        if any(cells):
            lines.append(f"| `{arm}` | {' | '.join(cells)} |")
    first, second = ((arm, units[0]) for arm in PUBLISHED_ORDER)
    if {first, second} <= errors.keys():
        confirmed = errors[first][2] < errors[second][1]
        verdict = "confirmed, its interval is below" if confirmed else "not confirmed, its interval is not below"
        lines += ["", f"At {units[0]} units `{first[0]}` has fewer errors than `{second[0]}`, as published: {verdict}."]
    return "\n".join(lines) + "\n"


def main(words: Sequence[str] | None = None) -> None:
    """Train what is missing in the file of results, and print the table.

    Args:
        words: Words of the command line; by default those of this process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", default=",".join(ARMS), help="Arms, with commas.")
    parser.add_argument("--units", default="20,50", help="Numbers of recurrent units, with commas.")
    parser.add_argument("--seeds", type=int, default=3, help="Number of seeds.")
    parser.add_argument("--steps", type=int, default=10_000, help="Optimizer steps.")
    parser.add_argument("--pairs", type=int, default=4, help="Pairs in a string.")
    parser.add_argument("--threads", type=int, default=1, help="Threads; these networks are too small for more.")
    parser.add_argument("--out", type=Path, default=Path("results/fast_weights_rnn.json"), help="File of results.")
    options = parser.parse_args(words)
    if unknown := set(options.arms.split(",")) - set(ARMS):
        parser.error(f"no arm {', '.join(sorted(unknown))}; known are {', '.join(ARMS)}")
    torch.set_num_threads(options.threads)
    kept = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    wanted = [
        Training(arm, int(units), options.pairs, options.steps, list(range(options.seeds)))
        for units in options.units.split(",")
        for arm in options.arms.split(",")
    ]
    for training in wanted:
        if training.key not in kept:
            training.run(lambda line: sys.stderr.write(f"{line}\n"))
            kept[training.key] = vars(training)
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(results_table({one.key: kept[one.key] for one in wanted}))


if __name__ == "__main__":
    # Moments of a unit that no longer fires fall below the smallest normal number, with which processors are slow. It
    # holds for all that a process computes, so that a caller of ``main`` decides for itself.
    torch.set_flush_denormal(True)
    main()
