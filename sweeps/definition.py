"""What a user asks of a sweep, by options or in a YAML file, and what it gives back."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from bench.errors import StoreError, UsageError
from bench.spec import RunSpec, Shots, validated
from bench.tuning import Tuning
from sweeps.space import Range
from sweeps.validation import Validation

Sampler = Literal["tpe", "grid", "random", "cmaes"]
Pruner = Literal["hyperband", "none"]
Objective = Literal["score", "likelihood", "adapt_seconds", "peak_memory_mb"]
ENOUGH_EPISODES = 16
"""Support sets that a sweep validates on by default: 16 of 5 shots in 10 classes are 800 items."""


class SweepSpec(BaseModel):
    """One study: a method on a task, over a space, by an objective.

    backbone, n_way: the task's own where None. n_episodes: support sets to validate on, those of the runs with the
    same seed; by default ENOUGH_EPISODES, or the task's number if that is less. set: fields that keep a value. space:
    fields to vary otherwise than their hints say. objectives: the first decides which config is best; of several the
    Pareto set is found. folds: of a cross-validation, or repeats of random splits. seconds: after which no trial is
    begun.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    method: str
    backbone: str | None = None
    n_shot: Shots = 5
    n_way: int | None = Field(default=None, ge=2)
    n_episodes: int | None = Field(default=None, ge=1)
    seed: int = 0
    precision: str = "32-true"
    set: dict[str, Any] = {}
    space: dict[str, Range] = {}
    trials: int = Field(default=50, ge=1)
    seconds: float | None = Field(default=None, gt=0)
    sampler: Sampler = "tpe"
    pruner: Pruner = "hyperband"
    objectives: tuple[Objective, ...] = Field(default=("score",), min_length=1)
    validation: Validation = "auto"
    folds: int = Field(default=5, ge=2)

    def name(self, identity: dict[str, Any]) -> str:
        """The study's name: another definition, other data, weights or code make another study.

        More trials or more time make the same one longer.
        """
        content = {**self.model_dump(mode="json", exclude={"trials", "seconds"}), **identity}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
        shots = "full" if self.n_shot == "full" else f"{self.n_shot}shot"
        return f"{self.task}-{self.method}-{shots}-{digest}"

    @classmethod
    def of_run(cls, spec: RunSpec, **changes: Any) -> "SweepSpec":
        """The sweep that tunes a run: on its support sets, from its config."""
        return cls(
            task=spec.task,
            method=spec.method,
            backbone=spec.backbone,
            n_shot=spec.n_shot,
            n_way=spec.n_way,
            n_episodes=min(ENOUGH_EPISODES, spec.n_episodes),
            seed=spec.seed,
            precision=spec.precision,
            set=spec.config,
            **changes,
        )


class Best(BaseModel):
    """The best config of a study, as ``bench run --config`` takes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    config: dict[str, Any]
    tuning: Tuning

    def write(self, path: Path) -> None:
        """As YAML. Raises StoreError if the disk refuses it."""
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}; use --out DIR") from error


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """A mapping in a YAML file. Raises UsageError if there is none."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"no {what} can be read from {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{what} {path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{what} {path} needs a mapping of fields, got {type(content).__name__}")
    return content


def sweep_spec(values: dict[str, Any]) -> SweepSpec:
    """Checked fields of a sweep. Raises UsageError."""
    return validated(SweepSpec, values, "bench sweep")
