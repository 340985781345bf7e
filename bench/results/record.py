"""The record of one run: its schema."""

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.spec.costs import Costs
from bench.spec.suite import RunSpec

SCHEMA_VERSION: Literal[4] = 4


Status = Literal["ok", "over_budget", "skipped", "failed"]


class SideFile(BaseModel):
    """A file in the store's folder ``predictions``: Parquet, a row for each query, columns as the metric defines them.

    sha256: of the file's bytes; its first digits are part of the name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[0-9a-f]{16}-[0-9a-f]{16}\.parquet$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Record(BaseModel):
    """The result of a run, and all that is needed to trace it.

    identity: all that changes the value, see ``bench.results.identity``; the id is its hash. provenance: where and how
    the record was made. limits: the budget that it was held to, by axis. violations: the axes that it did not keep,
    with what was measured.
    predictions: the file with those of each query; None where nothing was scored, or an earlier schema kept none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[4] = SCHEMA_VERSION
    id: str
    spec: RunSpec
    identity: dict[str, Any]
    status: Status
    reason: str = ""
    metric: str = "accuracy"
    value: float | None = None
    ci95: float | None = None
    episode_scores: list[float] = []
    n_queries: int = 0
    predictions: SideFile | None = None
    costs: Costs | None = None
    limits: dict[str, float] = {}
    violations: dict[str, float] = {}
    notes: dict[str, Any] = {}
    provenance: dict[str, Any] = {}


def run_id(identity: dict[str, Any]) -> str:
    """Hash of a run's identity: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
