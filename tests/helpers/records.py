"""Records of made-up runs, and their predictions."""

import json

import numpy as np

from bench.results.predictions import QueryPredictions
from bench.results.record import Record, run_id
from bench.results.record_text import digest_of
from bench.spec.costs import Costs, StageCosts
from bench.spec.run_spec import RunSpec
from bench.toolkit.versions import PROTOCOL

SPEC = RunSpec(
    task="t", backbone="b", method="m", config={"alpha": 0.1}, shots=5, seed=0, episodes=2, queries=3, ways=None
)


COSTS = Costs(
    encode=StageCosts(seconds=1.5, peak_memory_mb=3.0, flops=900),
    adapt=StageCosts(seconds=1 / 3, seconds_spread=0.01, peak_memory_mb=7.0, flops=100),
    query=StageCosts(seconds=0.0003, peak_memory_mb=5.0, flops=30),
    encode_sample=8,
    encode_wall_seconds=0.0,
    n_support=6,
    n_queries=3,
    state_mb=0.25,
    optimizer_mb=0.5,
    trainable_params=12,
    steps=4,
    tokens=0,
    memory_meter="linux_vm_hwm",
    device="Xeon",
    process="fresh",
    repeats=5,
)


def write_fields(path, content):
    """Write a record's fields as a program would that writes a digest too; they are not flushed to the disk."""
    path.write_text(json.dumps({**content, "digest": digest_of(content)}), encoding="utf-8")


def rewrite(path, **changes):
    """Change fields of a record's file."""
    write_fields(path, json.loads(path.read_text()) | changes)


def record(**changes):
    identity = {**SPEC.model_dump(), "device": "cpu", "libraries": {"torch": "2"}} | changes.pop("identity", {})
    fields = {
        "status": "ok",
        "value": 200 / 3,
        "ci_low": 66.5,
        "ci_high": 66.9,
        "episode_scores": [100.0, 100 / 3],
        "n_queries": 6,
        "costs": COSTS,
        "notes": {"shown": [1, 2]},
        "provenance": {"git": None},
    } | changes
    return Record(id=run_id(identity), spec=SPEC, identity=identity, **fields)


def answered(right=(1, 1, 1, 1, 0, 0)):
    """QueryPredictions of two episodes of three queries each."""
    return QueryPredictions(
        "accuracy", np.repeat([0, 1], 3), np.array([4, 5, 6, 4, 7, 8]), np.array(right, float)[:, None]
    )


def made(spec=None, code="1", finished="2026-01-01T00:00:00+00:00", **changes):
    spec = SPEC.model_copy(update=spec or {})
    identity = {**spec.model_dump(), "code": code, "device": "cpu", "protocol": PROTOCOL}
    fields = {"status": "ok", "value": 50.0, "episode_scores": [40.0, 60.0], "n_queries": 10, "costs": COSTS} | changes
    return Record(id=run_id(identity), spec=spec, identity=identity, provenance={"finished": finished}, **fields)


def costing(adapt_seconds, peak_memory_mb=7.0, query_seconds=0.0003):
    """Costs of a method that adapts in the given seconds and encodes nothing."""
    stages = {
        "encode": StageCosts(),
        "adapt": StageCosts(seconds=adapt_seconds, peak_memory_mb=peak_memory_mb),
        "query": StageCosts(seconds=query_seconds),
    }
    return COSTS.model_copy(update=stages)


HARD = np.random.default_rng(0).uniform(40, 90, 20)


def run(method, less=0.0, noise=0, **spec):
    scores = HARD - less + np.random.default_rng(noise).normal(0, 0.5, 20)
    return made({"method": method, "config": {}, **spec}, episode_scores=list(scores))
