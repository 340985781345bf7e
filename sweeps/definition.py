"""Definition of a sweep, from options or a YAML file."""

import hashlib
import json
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench import registry
from bench.contracts.errors import UsageError
from bench.contracts.kinds import Precision, PromptStyle, Template
from bench.contracts.sequence import is_sequence
from bench.contracts.validation import validated
from bench.spec.aliases import current_task, renamed_keys
from bench.spec.list_texts import LARGEST_SEED
from bench.spec.run_spec import RunSpec, Shots, task_slug
from bench.spec.suite import MOST
from sweeps.space import Range
from sweeps.validation import Validation

Sampler = Literal["tpe", "grid", "random", "cmaes"]
Pruner = Literal["hyperband", "none"]
Objective = Literal["score", "likelihood", "adapt_seconds", "peak_memory_mb"]
ENOUGH_EPISODES = 16
"""Default number of support sets to validate on: 16 of 5 shots in 10 classes are 800 items."""


class SweepSpec(BaseModel):
    """One study: a method on a task, over a space, by an objective.

    Attributes:
        task: Name of the task.
        prompt: Style of the task's prompts.
        template: Form of the prompts: the number of one of the task's templates, or a text.
        method: Name of the method.
        backbone: Name of the backbone; None for the default of the kind of task.
        shots: Support items per class, or "full".
        ways: Classes per episode; None for the task's own number.
        episodes: Support sets to validate on, those of the runs with the same seed; by default ENOUGH_EPISODES, or the
            task's number if that is smaller.
        seed: Seed of the support sets.
        precision: Precision of Lightning's trainer.
        set: Fields with a fixed value.
        space: Ranges that replace those of the fields' ``Tune``.
        trials: Largest number of trials.
        seconds: No trial starts after this time.
        sampler: Name of the sampler.
        pruner: Name of the pruner.
        objectives: The first decides which config is best; several of them give a Pareto set.
        validation: Validation protocol.
        folds: Folds of a cross-validation, or repeats of random splits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _rename_old_keys(cls, values: Any) -> Any:
        return current_task(renamed_keys(values))

    task: str
    prompt: PromptStyle = "plain"
    template: Template = 0
    method: str
    backbone: str | None = None
    shots: Shots = 5
    ways: int | None = Field(default=None, ge=2, le=MOST)
    episodes: int | None = Field(default=None, ge=1, le=MOST)
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    precision: Precision = "32-true"
    set: dict[str, Any] = {}
    space: dict[str, Range] = {}
    trials: int = Field(default=50, ge=1, le=MOST)
    seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    sampler: Sampler = "tpe"
    pruner: Pruner = "hyperband"
    objectives: tuple[Objective, ...] = Field(default=("score",), min_length=1)
    validation: Validation = "auto"
    folds: int = Field(default=5, ge=2, le=1000)

    def name(self, identity: dict[str, Any]) -> str:
        """Name of the study: another definition, other data, weights or code are another study.

        More trials or more time continue the same study.

        Args:
            identity: Facts about data, weights and code.

        Returns:
            Task, method, shots and a hash.
        """
        left_out = {"trials", "seconds"} if self.template else {"trials", "seconds", "template"}
        content = {**self.model_dump(mode="json", exclude=left_out), **identity}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
        shots = "full" if self.shots == "full" else f"{self.shots}shot"
        return f"{task_slug(self.task, self.prompt, self.template)}-{self.method}-{shots}-{digest}"

    @classmethod
    def of_run(cls, spec: RunSpec, **changes: Any) -> "SweepSpec":
        """The sweep that tunes a run: on its support sets, with its config fixed.

        Args:
            spec: The run.
            **changes: Further fields.

        Returns:
            The definition.
        """
        return cls(
            task=spec.task,
            prompt=spec.prompt,
            template=spec.template,
            method=spec.method,
            backbone=spec.backbone,
            shots=spec.shots,
            ways=spec.ways,
            episodes=min(ENOUGH_EPISODES, spec.episodes),
            seed=spec.seed,
            precision=cast(Precision, spec.precision),
            set=spec.config,
            **changes,
        )


def sweep_spec(values: dict[str, Any]) -> SweepSpec:
    """Check the fields of a sweep, and put the method and its fields under their present names.

    Args:
        values: Fields by name.

    Returns:
        The definition.

    Raises:
        UsageError: For a wrong name or value.
    """
    spec = validated(SweepSpec, values, "bench sweep")
    if is_sequence(spec.task):
        raise UsageError(f"a sweep tunes on one task, got the sequence {spec.task}; name one of its tasks")
    chosen = registry.resolve_method(spec.method, registry.task_class(spec.task).kind, spec.set)
    space = {registry.OLD_FIELDS.get(name, name): change for name, change in spec.space.items()}
    return spec.model_copy(update={"method": chosen.name, "set": chosen.settings, "space": space})
