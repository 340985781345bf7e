"""Histories of made-up states, with the noise of real records."""

from datetime import UTC, datetime, timedelta

import numpy as np

from bench.reports.history.point import Point, State
from bench.reports.row_names import RowKey

ROWS = {"closed": 85.0, "probe": 78.0, "memory": 70.0}
SECONDS = {"encode": 1.5, "adapt": 0.3, "query": 0.05}
N_STATES, EPISODES = 60, 180
ERROR = 0.5
"""Standard error of a score, of which its interval is twice 1.96."""
NOISE = 0.05
"""Relative standard deviation of a time from one measurement to the next, of three."""


def states(number=N_STATES, machine="Xeon"):
    """States of a year, some two a week."""
    begin = datetime(2025, 1, 6, 9, tzinfo=UTC)
    return [
        State(f"{place:016x}", f"{place:02x}{0:038}", (begin + timedelta(6 * place)).isoformat(), machine, "runner")
        for place in range(number)
    ]  # fmt: skip


def score(state, row, value, draws="new", error=ERROR):
    return Point(
        state, row, "score", "accuracy", "accuracy, %", value, value - 1.96 * error, value + 1.96 * error, n=EPISODES,
        higher_is_better=True, least=0.05, draw="d", episodes=f"{state.id if draws == 'new' else 0} x {EPISODES}",
        records=[f"{state.id[-6:]}{row.method}"],
    )  # fmt: skip


def cost(state, row, quantity, value, spread=NOISE, company="", least=0.1, least_change=0.001):
    return Point(
        state, row, "cost", quantity, "s", value, spread=spread, n=3, least=least, least_change=least_change,
        company=company, records=[f"{state.id[-6:]}{row.method}"],
    )  # fmt: skip


def history(seed, draws="new", planted=None, number=N_STATES):
    """Points of a history. planted: (task, method, quantity, place, change), points or a share of a cost.

    Half of the noise of a time has heavy tails; one state in fifteen was measured in company, and is much slower.
    """
    rng = np.random.default_rng(seed)
    points = []
    for place, state in enumerate(states(number)):
        company = "other processes used 60% of 2 cores" if rng.random() < 1 / 15 else ""
        for task in "tu":
            for method, skill in ROWS.items():
                row = RowKey(task, method, shots="5 shots", backbone="b")
                changed = planted and planted[:2] == (task, method) and place >= planted[3]
                # The same episodes are answered alike, but for a query now and then whose answers tie.
                value = skill + (rng.normal(0, ERROR) if draws == "new" else 0.02 * rng.integers(-1, 2))
                if changed and planted[2] == "accuracy":
                    value += planted[4]
                points.append(score(state, row, value, draws))
                for quantity, seconds in SECONDS.items():
                    noise = NOISE / 3**0.5 * (rng.normal() + rng.standard_t(4)) / 2**0.5
                    taken = seconds * float(np.exp(noise)) * (rng.uniform(1.1, 3.0) if company else 1.0)
                    if changed and planted[2] == quantity:
                        taken *= 1 + planted[4]
                    spread = NOISE * float(np.sqrt(rng.chisquare(2) / 2))
                    points.append(cost(state, row, quantity, taken, spread, company))
    return points
