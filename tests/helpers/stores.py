"""Stores as a suite leaves them, made up: two tasks, three methods, three seeds, with the noise of a real machine."""

import numpy as np

from bench.results.predictions import QueryPredictions
from bench.results.record import Record, run_id
from bench.results.store import Store
from bench.spec.costs import StageCosts
from bench.spec.run_spec import RunSpec
from bench.toolkit.versions import PROTOCOL
from tests.helpers.records import COSTS

SECONDS = {"closed": 0.02, "probe": 0.3, "memory": 0.004}
SKILL = {"closed": 0.8, "probe": 0.75, "memory": 0.7}
EPISODES, QUERIES, REPEATS = 20, 50, 5
NOISE = 0.05
"""Relative standard deviation of a time from one measurement to another."""


def stage(rng, seconds, memory):
    repeats = seconds * np.exp(rng.normal(0, NOISE, REPEATS))
    low, high = np.quantile(repeats, [0.25, 0.75])
    return StageCosts(
        seconds=float(np.median(repeats)), seconds_spread=float(high - low),
        peak_memory_mb=float(memory * np.exp(rng.normal(0, 0.005))),
    )  # fmt: skip


def answers(task, method, seed):
    """The same each time, as everything but time is in a rerun."""
    rng = np.random.default_rng([ord(task), *map(ord, method), seed])
    return (rng.random((EPISODES, QUERIES)) < SKILL[method]).astype(float)


def fill(
    folder,
    run=0,
    slower=None,
    worse=None,
    without=(),
    failing=(),
    seeds=(0, 1, 2),
    tasks="tu",
    device="cpu",
    model="Xeon",
):
    """A store after a run. slower: (method, factor) of adapting; worse: (method, share of queries lost)."""
    store, rng = Store(folder), np.random.default_rng(run)
    for task in tasks:
        for method in SECONDS:
            for seed in seeds:
                if (task, method, seed) in without:
                    continue
                right = answers(task, method, seed)
                if worse and worse[0] == method:
                    lost = np.random.default_rng(seed).random(right.shape) < worse[1] / SKILL[method]
                    right = right * ~lost
                spec = RunSpec(
                    task=task,
                    backbone="b",
                    method=method,
                    shots=5,
                    seed=seed,
                    episodes=EPISODES,
                    queries=5,
                    ways=None,
                )
                identity = {
                    **spec.model_dump(),
                    "device": device,
                    "protocol": PROTOCOL,
                    "data": "1",
                    "code": str(slower or worse),
                }
                factor = slower[1] if slower and slower[0] == method else 1.0
                costs = COSTS.model_copy(
                    update={
                        "encode": stage(rng, 1.5, 200), "adapt": stage(rng, factor * SECONDS[method], 20),
                        "query": stage(rng, 0.05, 10), "repeats": REPEATS, "device": model,
                    }
                )  # fmt: skip
                outcomes = QueryPredictions.of("accuracy", [np.arange(QUERIES)] * EPISODES, list(right[..., None]))
                scores = outcomes.episode_scores()
                result = {"value": float(np.mean(scores)), "episode_scores": scores, "n_queries": right.size}
                result["shared_draws"] = False
                made = {"id": run_id(identity), "spec": spec, "identity": identity, "costs": costs}
                if (task, method, seed) in failing:
                    store.write(Record(**made, status="failed", reason="RuntimeError: planted <b>"))
                else:
                    store.write(Record(**made, status="ok", **result), outcomes)
    return store
