"""Stores of any number of valid records with predictions, made up from a seed."""

import hashlib

import numpy as np

from bench import registry
from bench.results.predictions import QueryPredictions
from bench.results.record import Record, SideFile, run_id
from bench.results.store import Store
from bench.spec.run_spec import RunSpec
from bench.stats.intervals import mean_interval
from bench.toolkit.versions import PROTOCOL, library_versions
from tests.helpers.records import COSTS, write_fields

SHOTS = (1, 2, 4, 8, 16)
SEEDS = 5


def big_store(folder, n_records, methods=40, episodes=20, queries=20, seed=0):
    """A store with records of tasks, methods, five numbers of shots and five seeds, in this order.

    A method answers alike on each task, so that a task has little to compute; ids, costs and files are each record's own.

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
    store, of_a_task = Store(folder), methods * len(SHOTS) * SEEDS
    store.prepare()
    (store.root / "predictions").mkdir()
    rng, libraries, answers = np.random.default_rng(seed), library_versions(), {}
    for number in range(n_records):
        task, place = divmod(number, of_a_task)
        if place not in answers:
            answers[place] = _answered(place, methods, episodes, queries, libraries, rng)
        fields, content, digest = answers[place]
        named = {"task": f"task{task}"}
        identity = {**fields["identity"], **named, "data": f"revision{task}"}
        id_ = run_id(identity)
        file = SideFile(name=f"{id_}-{digest[:16]}.parquet", sha256=digest)
        seconds, memory = rng.uniform((0.01, 1), (2, 99)).tolist()
        adapt = {**fields["costs"]["adapt"], "seconds": seconds, "peak_memory_mb": memory}
        store.predictions_path(file).write_bytes(content)
        write_fields(
            store.path(id_),
            {
                **fields, "id": id_, "spec": {**fields["spec"], **named}, "identity": identity,
                "predictions": file.model_dump(), "costs": {**fields["costs"], "adapt": adapt},
            },
        )  # fmt: skip
    return store


def _answered(place, methods, episodes, queries, libraries, rng):
    """Fields of a task's record at a place, the content of its predictions, and the hash of this."""
    rest, of_seed = divmod(place, SEEDS)
    method, of_shots = divmod(rest, len(SHOTS))
    spec = RunSpec(
        task="", backbone="b", method=f"method{method}", shots=SHOTS[of_shots], seed=of_seed, episodes=episodes,
        queries=queries, ways=None,
    )  # fmt: skip
    identity = {
        **spec.model_dump(), "device": "cpu", "protocol": PROTOCOL, "weights": "w" * 64,
        "code": dict.fromkeys(("task", "backbone", "method", "metric"), f"{method:064d}"), "libraries": libraries,
    }  # fmt: skip
    skill = 0.5 + 0.3 * method / methods + 0.02 * of_shots
    right = (rng.random((episodes, queries, 1)) < skill).astype(float)
    predictions = QueryPredictions.of("accuracy", [np.arange(queries)] * episodes, list(right))
    scores, metric = predictions.episode_scores(), registry.make_metric("accuracy")
    interval = mean_interval(np.array(scores), None, metric.scale, len(predictions)) or metric.interval(right[0])
    record = Record(
        id="", spec=spec, identity=identity, status="ok", value=float(np.mean(scores)), ci_low=interval.low,
        ci_high=interval.high, episode_scores=scores, shared_draws=False, n_queries=len(predictions), costs=COSTS,
        provenance={"finished": "2026-01-01T00:00:00+00:00", "contract": "passed", "host": "h", "git": "c" * 40},
    )  # fmt: skip
    content = predictions.to_bytes()
    return record.model_dump(mode="json"), content, hashlib.sha256(content).hexdigest()
