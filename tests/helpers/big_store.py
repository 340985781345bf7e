"""Stores of any number of valid records with predictions, made up from a seed."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench import registry
from bench.results.predictions import QueryPredictions
from bench.results.record import Record
from bench.results.record_text import DIGEST
from bench.results.store import Store
from bench.spec.run_spec import RunSpec
from bench.stats.intervals import mean_interval
from bench.toolkit.versions import PROTOCOL, library_versions
from tests.helpers.records import COSTS

SHOTS = (1, 2, 4, 8, 16)
SEEDS = 5


def big_store(folder, n_records, methods=40, episodes=20, queries=20, seed=0):
    """A store with records of tasks, methods, five numbers of shots and five seeds, in this order.

    A method answers alike on each task. Ids, costs and files are each record's own; files are laid out as the store
    writes them, and not flushed to the disk one by one.

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
    store, rng, libraries = Store(folder), np.random.default_rng(seed), library_versions()
    store.prepare()
    (store.root / "predictions").mkdir()
    made = dict[int, _Template]()
    for number in range(n_records):
        task, place = divmod(number, methods * len(SHOTS) * SEEDS)
        if place not in made:
            made[place] = _template(place, methods, episodes, queries, libraries, rng)
        seconds, memory = rng.uniform((0.01, 1), (2, 99)).tolist()
        id_, name, text = made[place].filled(
            {"task": f"task{task}", "data": f"revision{task}", "seconds": seconds, "memory": memory}
        )
        (store.root / "predictions" / name).write_bytes(made[place].predictions)
        store.path(id_).write_text(text, encoding="utf-8")
    return store


@dataclass(frozen=True)
class _Template:
    """A record whose task, costs and id are missing; encoding each of many records would take most of the time.

    Attributes:
        fields: The fields of its file, with ``"@NAME@"`` in place of what is missing.
        predictions: Content of its file of predictions.
    """

    fields: dict
    predictions: bytes

    @cached_property
    def _texts(self):
        """The file, and what its digest and its id are hashes of."""
        return (
            json.dumps({**self.fields, DIGEST: "@digest@"}, indent=1),
            json.dumps(self.fields, sort_keys=True, separators=(",", ":")),
            json.dumps(self.fields["identity"], sort_keys=True),
        )

    def filled(self, values):
        """Id of a record, name of its file of predictions, and text of its own file."""
        file, content, identity = self._texts
        id_ = _hash(_with(identity, values))[:16]
        sha256 = self.fields["predictions"]["sha256"]
        values = {**values, "id": id_, "name": f"{id_}-{sha256[:16]}.parquet"}
        return id_, values["name"], _with(file, {**values, "digest": _hash(_with(content, values))})


def _with(text, values):
    for name, value in values.items():
        text = text.replace(f'"@{name}@"', json.dumps(value))
    return text


def _hash(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _template(place, methods, episodes, queries, libraries, rng):
    """The record of a task at a place among all methods, numbers of shots and seeds."""
    rest, of_seed = divmod(place, SEEDS)
    method, of_shots = divmod(rest, len(SHOTS))
    spec = RunSpec(
        task="@task@", backbone="b", method=f"method{method}", shots=SHOTS[of_shots], seed=of_seed, episodes=episodes,
        queries=queries, ways=None,
    )  # fmt: skip
    identity = {
        **spec.model_dump(), "device": "cpu", "protocol": PROTOCOL, "data": "@data@", "weights": "w" * 64,
        "code": dict.fromkeys(("task", "backbone", "method", "metric"), f"{method:064d}"), "libraries": libraries,
    }  # fmt: skip
    skill = 0.5 + 0.3 * method / methods + 0.02 * of_shots
    right = (rng.random((episodes, queries, 1)) < skill).astype(float)
    predictions = QueryPredictions.of("accuracy", [np.arange(queries)] * episodes, list(right))
    scores, metric = predictions.episode_scores(), registry.make_metric("accuracy")
    interval = mean_interval(np.array(scores), None, metric.scale, len(predictions)) or metric.interval(right[0])
    fields = Record(
        id="@id@", spec=spec, identity=identity, status="ok", value=float(np.mean(scores)), ci_low=interval.low,
        ci_high=interval.high, episode_scores=scores, shared_draws=False, n_queries=len(predictions), costs=COSTS,
        provenance={"finished": "2026-01-01T00:00:00+00:00", "contract": "passed", "host": "h", "git": "c" * 40},
    ).model_dump(mode="json")  # fmt: skip
    content = predictions.to_bytes()
    fields["predictions"] = {"name": "@name@", "sha256": hashlib.sha256(content).hexdigest()}
    fields["costs"]["adapt"] |= {"seconds": "@seconds@", "peak_memory_mb": "@memory@"}
    return _Template(fields, content)
