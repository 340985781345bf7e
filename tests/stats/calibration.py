"""Rates of false claims, coverage and power in simulations: ``python -m tests.stats.calibration`` prints them.

The tables in docs/statistics.md are its output. Tests run the same simulations with fewer repetitions.
"""

from collections.abc import Callable, Iterable
from itertools import combinations

import numpy as np
from scipy import stats

from bench.registry import make_metric
from bench.reports.markdown import markdown_table
from bench.stats.comparison import Paired
from bench.stats.intervals import Floats, Interval, mean_interval
from bench.stats.paired import compare_answers, compare_episodes, holm

ACCURACY, PERPLEXITY, BLEU = map(make_metric, ("accuracy", "perplexity", "bleu"))
ITEMS = (2, 3, 4, 5, 6, 8, 10, 12, 13, 15, 20, 60)
SEED_SPREADS = (0.0, 0.1, 0.3)
Rng = np.random.Generator


def accuracies(
    rng: Rng, n_methods: int, n_episodes: int, n_seeds: int = 1, seed_spread: float = 0.0, gap: float = 0.0,
    n_queries: int = 50, level: float = 0.7,
) -> tuple[Floats, list[int]]:  # fmt: skip
    """Accuracies ``[method, episode]`` in % of methods on shared episodes of differing difficulty, and their seeds.

    seed_spread: standard deviation on the logit scale of what a method's episodes of a seed have in common. gap: points
    by which the first method is better.
    """
    seeds = np.repeat(np.arange(n_seeds), n_episodes)
    logits = np.log(level / (1 - level)) + 0.3 * rng.standard_normal(len(seeds))
    luck = seed_spread * rng.standard_normal((n_methods, n_seeds))[:, seeds]
    own = 0.25 * rng.standard_normal((n_methods, len(seeds)))
    chances = 1 / (1 + np.exp(-(logits + luck + own)))
    chances[0] = np.clip(chances[0] + gap / 100, 0, 1)
    return 100 * rng.binomial(n_queries, chances) / n_queries, seeds.tolist()


def answers(rng: Rng, n_queries: int) -> Floats:
    """Right and wrong answers ``[method, query]`` of two equal methods; what is hard for one is hard for the other."""
    return (rng.random((2, n_queries)) < rng.beta(2, 1, n_queries)).astype(float)


def perplexities(rng: Rng, n_methods: int, n_texts: int, gap: float = 0.0) -> Floats:
    """Negative log-likelihoods and tokens ``[method, text, 2]``; the first method is worse by ``gap`` nats a token."""
    tokens = rng.integers(50, 150, n_texts)
    losses = rng.normal(3, 0.5, n_texts) + rng.normal(0, 0.1, (n_methods, n_texts))
    losses[0] += gap
    return np.stack([tokens * losses, np.broadcast_to(tokens, losses.shape)], axis=-1)


def translations(rng: Rng, n_methods: int, n_texts: int) -> Floats:
    """Counts of n-grams and lengths ``[method, text, 10]`` of translations of differing difficulty."""
    reference = rng.integers(6, 40, n_texts)
    written = np.maximum(4, reference + rng.integers(-3, 4, (n_methods, n_texts)))
    quality = np.clip(rng.beta(6, 3, n_texts) + rng.normal(0, 0.08, (n_methods, n_texts)), 0.05, 0.98)
    orders = np.arange(4)
    totals = np.maximum(written[..., None] - orders, 0)
    correct = rng.binomial(totals, quality[..., None] ** (1 + 0.9 * orders))
    lengths = np.stack([written, np.broadcast_to(reference, written.shape)], axis=-1)
    return np.concatenate([correct, totals, lengths], axis=-1).astype(float)


def by_text(metric: object, sides: Floats) -> Paired:
    """Comparison of two methods on the texts of one episode."""
    present = np.ones((sides.shape[1], 1), dtype=bool)
    return metric.compare(sides[0][:, None], sides[1][:, None], present)  # type: ignore[attr-defined,no-any-return]


def claims(scores: Floats, seeds: list[int] | None) -> list[tuple[int, int]]:
    """The pairs that a board tells apart."""
    pairs = list(combinations(range(len(scores)), 2))
    made = [compare_episodes(scores[a], scores[b], seeds) for a, b in pairs]
    adjusted = holm([each.p_value for each in made])
    return [pair for pair, each, p in zip(pairs, made, adjusted, strict=True) if each.is_significant(p)]


TWO_EQUAL: dict[str, Callable[[Rng, int], Paired]] = {
    "accuracy, episodes": lambda rng, n: compare_episodes(*accuracies(rng, 2, n)[0]),
    "accuracy of 99%, episodes": lambda rng, n: compare_episodes(*accuracies(rng, 2, n, level=0.99)[0]),
    "accuracy, queries": lambda rng, n: compare_answers(*answers(rng, n)),
    "perplexity, texts": lambda rng, n: by_text(PERPLEXITY, perplexities(rng, 2, n)),
    "BLEU, texts": lambda rng, n: by_text(BLEU, translations(rng, 2, n)),
}
"""Comparisons of two equal methods on ``n`` items."""


def false_claims(name: str, n: int, repetitions: int, seed: int = 0) -> int:
    """How many comparisons of two equal methods end in a claim."""
    rng = np.random.default_rng([seed, n])
    made = (TWO_EQUAL[name](rng, n) for _ in range(repetitions))
    return sum(each.is_significant(each.p_value) for each in made)


def false_boards(n_methods: int, n_seeds: int, seed_spread: float, repetitions: int, n_episodes: int = 20) -> int:
    """How many boards of equal methods make any claim; with seeds as clusters where there is more than one."""
    rng = np.random.default_rng([n_methods, n_seeds, int(100 * seed_spread)])
    boards = (accuracies(rng, n_methods, n_episodes, n_seeds, seed_spread) for _ in range(repetitions))
    return sum(bool(claims(scores, seeds if n_seeds > 1 else None)) for scores, seeds in boards)


def upper(count: int, repetitions: int) -> float:
    """Upper end of the Clopper-Pearson interval of a rate, in %."""
    return 100 * float(stats.binomtest(count, repetitions).proportion_ci(method="exact").high)


def power(n_episodes: int, gap: float, repetitions: int, n_seeds: int = 1, shared: bool = False) -> float:
    """How often a true difference is claimed, in %."""
    rng = np.random.default_rng(n_episodes)
    drawn = (accuracies(rng, 2, n_episodes // n_seeds, n_seeds, gap=gap) for _ in range(repetitions))
    return 100 * float(np.mean([bool(claims(scores, seeds if shared else None)) for scores, seeds in drawn]))


def _covered(found: Iterable[Interval | None], truth: float) -> float:
    return 100 * float(np.mean([one is not None and one.low <= truth <= one.high for one in found]))


def accuracy_coverage(
    n_episodes: int, level: float, repetitions: int, n_queries: int = 50, n_seeds: int = 1, seed_spread: float = 0.0
) -> float:
    """How often the interval of an accuracy holds the true one, in %."""
    rng = np.random.default_rng([n_episodes, int(1000 * level), n_seeds, int(100 * seed_spread)])
    truth = accuracies(rng, 1, 4, 100_000, seed_spread, n_queries=100_000, level=level)[0].mean()
    drawn = (accuracies(rng, 1, n_episodes, n_seeds, seed_spread, 0, n_queries, level) for _ in range(repetitions))
    total = n_episodes * n_seeds * n_queries
    found = (mean_interval(scores[0], seeds, ACCURACY.scale, total) for scores, seeds in drawn)
    return _covered(found, truth)


def text_coverage(name: str, n_texts: int, repetitions: int) -> float:
    """How often the interval of perplexity or BLEU over texts holds that of very many texts, in %."""
    rng = np.random.default_rng(n_texts)
    metric, draw = {"perplexity": (PERPLEXITY, perplexities), "BLEU": (BLEU, translations)}[name]
    truth = float(metric.score(draw(rng, 1, 400_000)[0].sum(axis=0)))
    return _covered((metric.interval(draw(rng, 1, n_texts)[0]) for _ in range(repetitions)), truth)


def main(repetitions: int = 2000) -> None:
    """Print all tables."""

    def rate(count: int) -> str:
        return f"{100 * count / repetitions:.1f}"

    print("False claims of two equal methods, % of comparisons\n")
    rows = [[str(n), *(rate(false_claims(name, n, repetitions)) for name in TWO_EQUAL)] for n in ITEMS]
    print(markdown_table(("items", *TWO_EQUAL), rows))
    print(
        "\nSeeds of 20 episodes, of methods that share random numbers, %: claims of two, of four equal ones; coverage\n"
    )
    header = ("seeds", *(f"{what}, spread {spread}" for spread in SEED_SPREADS for what in ("two", "four", "coverage")))
    rows = [
        [
            str(n_seeds),
            *(
                text
                for spread in SEED_SPREADS
                for text in (
                    rate(false_boards(2, n_seeds, spread, repetitions)),
                    rate(false_boards(4, n_seeds, spread, repetitions)),
                    f"{accuracy_coverage(20, 0.7, repetitions, n_seeds=n_seeds, seed_spread=spread):.1f}",
                )
            ),
        ]
        for n_seeds in (2, 3, 5, 10)
    ]
    print(markdown_table(header, rows))
    print("\nFalse claims on boards of four equal methods that share none\n")
    rows = [[str(n), rate(false_boards(4, 1, 0.0, repetitions, n))] for n in (6, 8, 15, 60, 200)]
    print(markdown_table(("episodes", "boards with a claim, %"), rows))
    print("\nCoverage of the interval of an accuracy over episodes of 50 queries, %\n")
    levels = (0.5, 0.7, 0.9, 0.95, 0.99)
    rows = [
        [str(n), *(f"{accuracy_coverage(n, level, repetitions):.1f}" for level in levels)] for n in (3, 6, 10, 20, 60)
    ]
    print(markdown_table(("episodes", *(f"{100 * level:.0f}%" for level in levels)), rows))
    print("\nCoverage of the interval over texts, %\n")
    rows = [
        [str(n), *(f"{text_coverage(name, n, repetitions):.1f}" for name in ("perplexity", "BLEU"))]
        for n in (3, 6, 8, 12, 20, 60)
    ]
    print(markdown_table(("texts", "perplexity", "BLEU"), rows))
    print("\nPower, %\n")
    rows = [
        [str(n), str(gap), f"{power(n, gap, repetitions):.0f}", f"{power(n, gap, repetitions, 3, shared=True):.0f}"]
        for n, gap in ((15, 12), (60, 6), (201, 3))
    ]
    print(markdown_table(("episodes", "points", "power", "power, 3 seeds that share random numbers"), rows))


if __name__ == "__main__":
    main()
