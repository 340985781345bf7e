"""Histories of made-up states, with the noise of measured runs: ``measured_noise.json`` says of which."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np

from bench.reports.history.point import Point, State
from bench.reports.row_names import RowKey
from tests.helpers.places import ROOT

MEASURED = json.loads((ROOT / "tests" / "helpers" / "measured_noise.json").read_text(encoding="utf-8"))
ROWS = {"closed": (85.0, "faast"), "probe": (78.0, "linear_probe"), "memory": (70.0, "linear_projection")}
"""Mean score of each made-up method, and the method whose episodes scatter around it."""
SECONDS = {"time": 20.0, "adapt": 0.02, "query": 0.004}
N_STATES, EPISODES, MEASUREMENTS = 60, 100, 3
ERROR = 0.5
"""Standard error of a score, of which its interval is twice 1.96."""
NOISE = 0.05
"""Relative standard deviation of a time from one measurement to the next, of three."""


def _noise(measured):
    """Deviations of runs, which all rows of a run share, and of rows within them, of logarithms ``[row, run]``."""
    logs, runs = np.log(np.array(measured, dtype=float)), 0.0
    for _ in range(20):
        rows = np.nanmean(logs - runs, axis=1, keepdims=True)
        runs = np.nanmean(logs - rows, axis=0)
    there = np.isfinite(logs)
    count, n_runs = there.sum(axis=1, keepdims=True), len(runs)
    rest = (logs - rows - runs) * (count / (count - 1)) ** 0.5
    return (runs - runs.mean()) * (n_runs / (n_runs - 1)) ** 0.5, rest[there]


NOISES = {"time": _noise(list(MEASURED["seconds"].values()))} | {
    stage: _noise(rows) for stage, rows in MEASURED["milliseconds"].items()
}


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
        state, row, "cost", quantity, "s", value, spread=spread, n=MEASUREMENTS, least=least,
        least_change=least_change, company=company, records=[f"{state.id[-6:]}{row.method}"],
    )  # fmt: skip


def history(seed, draws="new", planted=(), number=N_STATES):
    """Points of a history. planted: (task, method, quantity, place, change) each, in points or as a share of a cost.

    A state's new episodes and its times are drawn from measured ones: what its run has in common, and three
    measurements of each row. One state in fifteen was measured in company, and is much slower, which is made up.
    """
    rng = np.random.default_rng(seed)
    points = []
    for place, state in enumerate(states(number)):
        company = "other processes used 60% of 2 cores" if rng.random() < 1 / 15 else ""
        shared = {quantity: rng.choice(runs) for quantity, (runs, _) in NOISES.items()}
        for task in "tu":
            drawn = rng.integers(0, len(MEASURED["scores"]["faast"]), EPISODES)
            for method, (skill, measured) in ROWS.items():
                row = RowKey(task, method, shots="5 shots", backbone="b")
                changes = {each[2]: each[4] for each in planted if each[:2] == (task, method) and place >= each[3]}
                episodes = np.array(MEASURED["scores"][measured])
                # The same episodes are answered alike, but for a query now and then whose answers tie.
                new = draws == "new"
                value = skill + (episodes[drawn].mean() - episodes.mean() if new else 0.02 * rng.integers(-1, 2))
                error = float(episodes[drawn].std(ddof=1)) / EPISODES**0.5
                points.append(score(state, row, float(value) + changes.get("accuracy", 0.0), draws, error))
                for quantity, seconds in SECONDS.items():
                    rest = rng.choice(NOISES[quantity][1], MEASUREMENTS)
                    slowed = rng.uniform(1.1, 3.0) if company else 1.0
                    taken = seconds * float(np.exp(shared[quantity] + rest.mean())) * slowed
                    taken *= 1 + changes.get(quantity, 0.0)
                    points.append(cost(state, row, quantity, taken, float(rest.std(ddof=1)), company))
    return points
