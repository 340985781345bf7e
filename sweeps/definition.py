"""What a user asks of a sweep, by options or in a YAML file, and what it gives back."""

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench import registry
from bench.contracts.kinds import PromptStyle
from bench.contracts.validation import validated
from bench.spec.aliases import current_task
from bench.spec.suite import RunSpec, Shots, renamed_keys, task_slug
from sweeps.space import Range
from sweeps.validation import Validation

Sampler = Literal["tpe", "grid", "random", "cmaes"]
Pruner = Literal["hyperband", "none"]
Objective = Literal["score", "likelihood", "adapt_seconds", "peak_memory_mb"]
ENOUGH_EPISODES = 16
"""Support sets that a sweep validates on by default: 16 of 5 shots in 10 classes are 800 items."""


class SweepSpec(BaseModel):
    """One study: a method on a task, over a space, by an objective.

    backbone, ways: the task's own where None. episodes: support sets to validate on, those of the runs with the
    same seed; by default ENOUGH_EPISODES, or the task's number if that is less. set: fields that keep a value. space:
    fields to vary otherwise than their hints say. objectives: the first decides which config is best; of several the
    Pareto set is found. folds: of a cross-validation, or repeats of random splits. seconds: after which no trial is
    begun. prompt: how the task's prompts are put together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _rename_old_keys(cls, values: Any) -> Any:
        return current_task(renamed_keys(values))

    task: str
    prompt: PromptStyle = "plain"
    method: str
    backbone: str | None = None
    shots: Shots = 5
    ways: int | None = Field(default=None, ge=2)
    episodes: int | None = Field(default=None, ge=1)
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
        shots = "full" if self.shots == "full" else f"{self.shots}shot"
        return f"{task_slug(self.task, self.prompt)}-{self.method}-{shots}-{digest}"

    @classmethod
    def of_run(cls, spec: RunSpec, **changes: Any) -> "SweepSpec":
        """The sweep that tunes a run: on its support sets, from its config."""
        return cls(
            task=spec.task,
            prompt=spec.prompt,
            method=spec.method,
            backbone=spec.backbone,
            shots=spec.shots,
            ways=spec.ways,
            episodes=min(ENOUGH_EPISODES, spec.episodes),
            seed=spec.seed,
            precision=spec.precision,
            set=spec.config,
            **changes,
        )


def sweep_spec(values: dict[str, Any]) -> SweepSpec:
    """Checked fields of a sweep, the method and its fields under their present names. Raises UsageError."""
    spec = validated(SweepSpec, values, "bench sweep")
    chosen = registry.resolve_method(spec.method, registry.task_class(spec.task).kind, spec.set)
    space = {registry.OLD_FIELDS.get(name, name): change for name, change in spec.space.items()}
    return spec.model_copy(update={"method": chosen.name, "set": chosen.settings, "space": space})
