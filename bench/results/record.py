"""Schema of records."""

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.spec.costs import Costs
from bench.spec.run_spec import RunSpec

SCHEMA_VERSION: Literal[6] = 6


Status = Literal["ok", "over_budget", "skipped", "failed"]


class SideFile(BaseModel):
    """A file in the store's folder ``predictions``: Parquet, a row for each query, columns by the metric.

    Attributes:
        name: Name of the file: id of the record and first digits of the hash.
        sha256: Hash of the file's bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[0-9a-f]{16}-[0-9a-f]{16}\.parquet$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Stage(BaseModel):
    """Scores after one support set of a sequence of tasks.

    Attributes:
        stage: Support sets that were learnt by then, 0 before the first.
        learnt: The task that was learnt last; empty before the first.
        start: "sequence" where it was learnt after the tasks before it, "base" where a fresh method learnt it alone.
        scores: By task, ``[episode]`` scores on its queries, each answered among its own classes.
        labels: Labelled examples of the task, mean over episodes.
        steps: Optimizer steps on them, in an episode.
        tokens: Tokens of them that a language model read, in an episode.
        seconds: Seconds of adapting to them, mean over episodes.
        text_nll: ``[text]``, negative log-likelihood of generic texts per token in nats, mean over episodes; empty
            where the method leaves the language model as it is, or there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: int
    learnt: str
    start: Literal["sequence", "base"]
    scores: dict[str, list[float]]
    labels: float = 0.0
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    text_nll: list[float] = []


class Record(BaseModel):
    """The result of a run, with everything that is needed to trace it; its file also has a digest of these fields.

    Attributes:
        schema_version: Version of this schema.
        id: Hash of the identity.
        spec: The run, by names.
        identity: Everything that changes the value, see ``bench.results.identity``.
        status: "ok", "over_budget", "skipped" or "failed".
        reason: Why the status is not "ok".
        metric: Name of the metric.
        value: Score in the metric's unit; None without one.
        ci_low: Lower end of the score's 95% interval over episodes, or over the queries of a single one; None with too
            few items to tell.
        ci_high: Upper end of the interval.
        episode_scores: ``[episode]`` scores.
        shared_draws: Whether the method draws random numbers once for many episodes; None where it is unknown.
        n_queries: Queries of all episodes.
        predictions: File with the predictions of each query; None where nothing was scored, and in records of early
            schemas.
        costs: Measured costs; None where nothing was measured.
        limits: Limits of the run, by axis, those of a match included.
        violations: Measured values on the axes with an exceeded limit.
        stages: Scores after each task of a sequence; empty for a run on a single task.
        notes: Facts from the method.
        provenance: Facts about the making of the record.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[6] = SCHEMA_VERSION
    id: str
    spec: RunSpec
    identity: dict[str, Any]
    status: Status
    reason: str = ""
    metric: str = "accuracy"
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    episode_scores: list[float] = []
    shared_draws: bool | None = None
    n_queries: int = 0
    predictions: SideFile | None = None
    costs: Costs | None = None
    limits: dict[str, float] = {}
    violations: dict[str, float] = {}
    stages: list[Stage] = []
    notes: dict[str, Any] = {}
    provenance: dict[str, Any] = {}


def run_id(identity: dict[str, Any]) -> str:
    """Id of a record.

    Args:
        identity: The run's identity.

    Returns:
        Hash of the identity: 16 hexadecimal digits.
    """
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
