"""Rates of false verdicts on claims: ``python -m tests.stats.claim_calibration`` writes them into docs/claims.md.

The truth of each claim is its limit itself, where wrong verdicts are most frequent. Tests run the same simulations with
fewer repetitions.
"""

from collections.abc import Callable, Iterator

import numpy as np

from bench.costs.in_turn import LEAST_PAIRS, log_ratio_interval
from bench.costs.repeats import MOST, PRECISION
from bench.reports.markdown import markdown_table
from bench.stats.comparison import Paired
from bench.stats.limits import FLIPPED, LimitTest, difference_test, ratio_test, spread_test
from bench.stats.paired import compare_answers, compare_episodes, holm
from tests.helpers.docs import replace_section
from tests.helpers.places import ROOT
from tests.stats.calibration import accuracies, answers, upper

MARGIN = 1.0
QUERIES = 50
RIGHT = 2 / 3
"""Share of right answers of ``answers``."""
REPETITIONS = 4000
Rng = np.random.Generator


def _against_margin(found: Paired, n_answers: int) -> LimitTest:
    least = FLIPPED * 100 / n_answers
    return difference_test(found.difference, found.spread or 0.0, found.n_independent, -MARGIN, least)


def scores(n_episodes: int) -> Callable[[Rng], LimitTest]:
    """A method that is worse than another by the margin, on episodes of 50 queries."""

    def test(rng: Rng) -> LimitTest:
        (a, b), _ = accuracies(rng, 2, n_episodes, gap=-MARGIN, n_queries=QUERIES)
        return _against_margin(compare_episodes(a, b), n_episodes * QUERIES)

    return test


def queries(n_queries: int) -> Callable[[Rng], LimitTest]:
    """A method that is worse than another by the margin, on the queries of a single pass over a test set."""

    def test(rng: Rng) -> LimitTest:
        own, other = answers(rng, n_queries)
        kept = rng.random(n_queries) >= MARGIN / 100 / RIGHT
        return _against_margin(compare_answers(own * kept, other), n_queries)

    return test


def alike(n_episodes: int) -> Callable[[Rng], LimitTest]:
    """A method that answers like another, but for one answer in a hundred that it loses."""

    def test(rng: Rng) -> LimitTest:
        lost = rng.binomial(QUERIES, MARGIN / 100, n_episodes) / QUERIES
        found = compare_episodes(90 - 100 * lost, np.full(n_episodes, 90.0))
        return _against_margin(found, n_episodes * QUERIES)

    return test


def ratios(noise: float) -> Callable[[Rng], LimitTest]:
    """A ratio of costs at its limit, measured in turn until it is known within 5%."""

    def test(rng: Rng) -> LimitTest:
        load = rng.lognormal(0, 0.5, MOST)  # meets both partners of a pair alike
        a, b = (load * rng.lognormal(0, noise, MOST) for _ in range(2))
        for pairs in range(LEAST_PAIRS, MOST + 1):
            ratio, _, high = log_ratio_interval(a[:pairs].tolist(), b[:pairs].tolist())
            if high is not None and high <= ratio * (1 + PRECISION):
                break
        return ratio_test(ratio, float(high or 0), pairs, 1.0)

    return test


def spreads(n_seeds: int) -> Callable[[Rng], LimitTest]:
    """Scores of seeds with a standard deviation at its limit."""

    def test(rng: Rng) -> LimitTest:
        found = spread_test(rng.normal(70, 2, n_seeds).tolist(), 2)
        assert found is not None
        return found

    return test


CELLS: dict[str, Callable[[Rng], LimitTest]] = {
    **{f"score not worse, {n} episodes": scores(n) for n in (6, 8, 15, 60, 200)},
    **{f"the same, one answer in a hundred differs, {n} episodes": alike(n) for n in (6, 15, 60)},
    **{f"score not worse, one pass over {n} queries": queries(n) for n in (45, 200, 1000)},
    **{f"cost at most, noise of {noise:.0%}": ratios(noise) for noise in (0.02, 0.1, 0.3)},
    **{f"spread over {n} seeds": spreads(n) for n in (3, 10)},
}
"""Tests whose truth is the limit."""


def false_verdicts(name: str, repetitions: int, seed: int = 0) -> tuple[int, int]:
    """Numbers of false confirmations and false refutations of one cell.

    A confirmation is a test that rejects on one side of the limit, a refutation one on the other: which of them is
    which depends on the claim.
    """
    above = below = 0
    for test in _tests(CELLS[name], repetitions, seed):
        above += test.p_value < 0.05 and test.gap > 0
        below += test.p_value < 0.05 and test.gap < 0
    return above, below


def false_claims(n_cells: int, repetitions: int, seed: int = 0) -> int:
    """How many claims of several cells have any false verdict, their truth being the limit in each cell."""
    rng = np.random.default_rng([seed, n_cells])
    cells = [scores(15), alike(15), ratios(0.1), spreads(10)]
    made = ([cells[n % len(cells)](rng).p_value for n in range(n_cells)] for _ in range(repetitions))
    return sum(min(holm(p_values)) < 0.05 for p_values in made)


def _tests(cell: Callable[[Rng], LimitTest], repetitions: int, seed: int) -> Iterator[LimitTest]:
    rng = np.random.default_rng(seed)
    return (cell(rng) for _ in range(repetitions))


def main() -> None:
    """Write the table."""
    rows = []
    for name in CELLS:
        above, below = false_verdicts(name, REPETITIONS)
        worst = f"{upper(max(above, below), REPETITIONS):.1f}"
        rows.append([name, f"{100 * above / REPETITIONS:.1f}", f"{100 * below / REPETITIONS:.1f}", worst])
    for n_cells in (4, 12):
        found = false_claims(n_cells, REPETITIONS // 4)
        share = f"{400 * found / REPETITIONS:.1f}"
        rows.append([f"any cell of {n_cells}, by Holm", share, share, f"{upper(found, REPETITIONS // 4):.1f}"])
    header = ["claim", "above the limit", "below the limit", "upper end of the larger rate's interval"]
    text = markdown_table(header, rows, right=header[1:])
    replace_section(ROOT / "docs" / "claims.md", "calibration", f"\n{text}\n")


if __name__ == "__main__":
    main()
