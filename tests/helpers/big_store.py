"""Stores of any number of valid records with predictions, made up from a seed."""

import hashlib

import numpy as np

from bench import registry
from bench.results.predictions import QueryPredictions
from bench.results.record import Record, SideFile, run_id
from bench.results.record_text import record_text
from bench.results.store import Store
from bench.spec.costs import StageCosts
from bench.spec.run_spec import RunSpec
from bench.stats.intervals import mean_interval
from bench.toolkit.versions import PROTOCOL, library_versions
from tests.helpers.records import COSTS

SHOTS = (1, 2, 4, 8, 16)
SEEDS = 5


def big_store(folder, n_records, methods=40, episodes=20, queries=20, seed=0):
    """A store with records of tasks, methods, five numbers of shots and five seeds, in this order.

    Args:
        folder: The store's folder; it is made.
        n_records: Number of records.
        methods: Methods of a task; further records are of further tasks.
        episodes: Episodes of a record.
        queries: Queries of an episode.
        seed: Seed of all answers.

    Returns:
        The store.
    """
    rng, libraries, metric = np.random.default_rng(seed), library_versions(), registry.make_metric("accuracy")
    store = Store(folder)
    store.prepare()
    (store.root / "predictions").mkdir()
    for number in range(n_records):
        rest, of_seed = divmod(number, SEEDS)
        rest, of_shots = divmod(rest, len(SHOTS))
        task, method = divmod(rest, methods)
        spec = RunSpec(
            task=f"task{task}", backbone="b", method=f"method{method}", shots=SHOTS[of_shots], seed=of_seed,
            episodes=episodes, queries=queries, ways=None,
        )  # fmt: skip
        identity = {
            **spec.model_dump(), "device": "cpu", "protocol": PROTOCOL, "data": f"revision{task}", "weights": "w" * 64,
            "code": dict.fromkeys(("task", "backbone", "method", "metric"), f"{method:064d}"),
            "libraries": libraries,
        }  # fmt: skip
        skill = 0.5 + 0.3 * method / methods + 0.02 * of_shots
        right = (rng.random((episodes, queries, 1)) < skill).astype(float)
        predictions = QueryPredictions.of("accuracy", [np.arange(queries)] * episodes, list(right))
        scores = predictions.episode_scores()
        interval = mean_interval(np.array(scores), None, metric.scale, len(predictions)) or metric.interval(right[0])
        adapt = StageCosts(seconds=float(rng.uniform(0.01, 2)), peak_memory_mb=float(rng.uniform(1, 99)), flops=100)
        content = predictions.to_bytes()
        digest, id_ = hashlib.sha256(content).hexdigest(), run_id(identity)
        record = Record(
            id=id_, spec=spec, identity=identity, status="ok", value=float(np.mean(scores)), ci_low=interval.low,
            ci_high=interval.high, episode_scores=scores, shared_draws=False, n_queries=len(predictions),
            predictions=SideFile(name=f"{id_}-{digest[:16]}.parquet", sha256=digest),
            costs=COSTS.model_copy(update={"adapt": adapt}),
            provenance={"finished": "2026-01-01T00:00:00+00:00", "contract": "passed", "host": "h", "git": "c" * 40},
        )  # fmt: skip
        # Not flushed to the disk one by one, as the store would.
        store.predictions_path(record.predictions).write_bytes(content)
        store.path(id_).write_text(record_text(record), encoding="utf-8")
    return store
