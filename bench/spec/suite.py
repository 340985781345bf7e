"""Runs and suites: one run by names, and grids of runs in a YAML file."""

import hashlib
import math
import re
from collections.abc import Sized
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bench.contracts.errors import UsageError, did_you_mean, shown
from bench.contracts.kinds import Precision, PromptStyle, Template
from bench.contracts.sequence import joined_name
from bench.contracts.validation import validated
from bench.spec.aliases import current_task
from bench.spec.budget import Budget, Match
from bench.spec.texts import (
    read_limit_grid,
    read_limits,
    read_names,
    read_seeds,
    read_settings,
    read_shots,
    read_templates,
)
from bench.spec.tuning import Tuning
from bench.spec.vary import read_vary
from bench.spec.yaml_text import read_yaml
from bench.toolkit.files import user_path

Shots = int | Literal["full"]
Names = Annotated[list[str], BeforeValidator(read_names, json_schema_input_type=list[str] | str)]
_ShotsItems = list[Annotated[int, Field(ge=1)] | Literal["full"]]
ShotsList = Annotated[_ShotsItems, BeforeValidator(read_shots, json_schema_input_type=_ShotsItems | int | str)]
Settings = dict[str, dict[str, Any]]
Texts = list[str] | str
"""Form of the command line, which fields take beside their own."""
MOST = 10**6
"""Largest number of episodes, queries, ways or trials."""
Limit = Annotated[int, Field(ge=1, le=MOST)] | None
MOST_RUNS = 100_000
"""Largest number of runs of a block."""
OLD_KEYS = {"n_shot": "shots", "n_episodes": "episodes", "n_query": "queries", "n_way": "ways"}
"""Keys of suites, studies and records of the first edition, with their present names."""


def renamed_keys(values: Any) -> Any:
    """Rename keys of the first edition.

    Args:
        values: A mapping; anything else is returned unchanged.

    Returns:
        The mapping with present keys.
    """
    return {OLD_KEYS.get(key, key): value for key, value in values.items()} if isinstance(values, dict) else values


class RunSpec(BaseModel):
    """One run: task x backbone x method x config x shots x seed, and the draw of its episodes.

    Attributes:
        task: Name of the task.
        prompt: Style of the task's prompts.
        template: Form of the prompts: the number of one of the task's templates, 0 for its own form, or a text.
        backbone: Name of the backbone.
        method: Name of the method.
        config: Fields that differ from the method's defaults.
        shots: Support items per class, or "full".
        seed: Seed of the episodes.
        episodes: Number of episodes.
        queries: Query items per class; None for all.
        ways: Classes per episode; None for all.
        limit: Most queries of a quick look; None for a whole run.
        precision: Precision of Lightning's trainer.
        budget: Limits of the costs.
        match: A method with costs that are further limits, if any.
        tuning: The search that found ``config``, if any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    prompt: PromptStyle = "plain"
    template: Template = 0
    backbone: str
    method: str
    config: dict[str, Any] = {}
    shots: Shots
    seed: int
    episodes: int
    queries: int | None
    ways: int | None
    limit: int | None = None
    precision: str = "32-true"
    budget: Budget = Budget()
    match: Match | None = None
    tuning: Tuning | None = None

    def form(self) -> tuple[str, PromptStyle, Template]:
        """Task, prompt style and template: what the task is made by, and its data are loaded by."""
        return self.task, self.prompt, self.template

    def shared(self) -> tuple[str, PromptStyle, str, str, str]:
        """Key of a group of runs: those with one key are encoded together. Keys sort, so that the template is text."""
        return self.task, self.prompt, str(self.template), self.backbone, self.precision

    def reference(self) -> "RunSpec | None":
        """The run with the costs that are this one's budget; None without a match."""
        if self.match is None:
            return None
        changes = {
            "method": self.match.method,
            "config": self.match.config,
            "tuning": self.match.tuning,
            "budget": Budget(),
            "match": None,
        }
        return self.model_copy(update=changes)


def task_slug(task: str, prompt: PromptStyle, template: Template = 0) -> str:
    """A task, its prompt style and template as part of the name of a file or of a tracker's run.

    Args:
        task: ``name`` or ``name:argument``.
        prompt: The prompt style; left out where it is plain.
        template: The template; left out where it is 0.

    Returns:
        For example ``iwslt2017-de-en-chat``: letters, digits, ``_``, ``.`` and ``-`` alone, since a colon is not
        allowed in file names everywhere.
    """
    marks: list[str] = [] if prompt == "plain" else [prompt]
    if template != 0:
        digest = hashlib.sha256(str(template).encode()).hexdigest()[:8]
        marks.append(f"template{template if isinstance(template, int) else f'-{digest}'}")
    return re.sub(r"[^\w.-]", "-", "-".join([task, *marks]))


class Grid(BaseModel):
    """Runs of a task, without its name. Defaults of the draw are the task's own protocol.

    Texts are read as on the command line: ``shots: 1,5,full``, ``seeds: 0-4``, ``budget: adapt_seconds=2``.

    Attributes:
        prompt: Style of the task's prompts.
        template: Forms of the prompts: numbers of the task's templates, "all" of them, or texts.
        backbone: Name of the backbone; None for the default of the kind of task.
        methods: Names of methods; ``method`` is another name of this field.
        shots: Numbers of support items per class, or "full".
        seeds: Seeds of the episodes.
        episodes: Number of episodes; None for the task's own.
        queries: Query items per class, or "all"; None for the task's own number.
        ways: Classes per episode; None for the task's own number.
        limit: Most queries of a run, for a quick look.
        precision: Precision of Lightning's trainer.
        set: Fields of configs by method.
        preset: Name of a set of fields; ``set`` has precedence.
        tuning: By method, the search that found its fields in ``set``.
        tune_all: Trials of a search that tunes each method first, in place of the suite's number.
        budget: Limits by axis.
        budget_grid: Several limits by axis; all methods run under each of them.
        match: A method, and the axes on which its costs are the budget of the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _rename_old_keys(cls, values: Any) -> Any:
        values = renamed_keys(values)
        if isinstance(values, dict) and "method" in values:
            if "methods" in values:
                raise UsageError("method and methods are two names of one field, and both are given; leave one out")
            values = {"methods" if key == "method" else key: value for key, value in values.items()}
        return values

    prompt: PromptStyle = "plain"
    template: Annotated[
        list[Template], BeforeValidator(read_templates, json_schema_input_type=list[Template] | Template)
    ] = Field(default=[0], min_length=1)
    backbone: str | None = None
    methods: Names = Field(min_length=1)
    shots: ShotsList = Field(default=[1, 5], min_length=1)
    seeds: Annotated[list[int], BeforeValidator(read_seeds, json_schema_input_type=list[int | str] | int | str)] = (
        Field(default=[0], min_length=1)
    )
    episodes: int | None = Field(default=None, ge=1, le=MOST)
    queries: Annotated[int, Field(ge=1, le=MOST)] | Literal["all"] | None = None
    ways: int | None = Field(default=None, ge=2, le=MOST)
    limit: Limit = None
    precision: Precision = "32-true"
    set: Annotated[Settings, BeforeValidator(read_settings, json_schema_input_type=Settings | Texts)] = {}
    preset: str | None = None
    tuning: dict[str, Tuning] = {}
    tune_all: int | None = Field(default=None, ge=1, le=MOST)
    budget: Annotated[
        dict[str, float], BeforeValidator(read_limits, json_schema_input_type=dict[str, float] | Texts)
    ] = {}
    budget_grid: Annotated[
        dict[str, list[float]], BeforeValidator(read_limit_grid, json_schema_input_type=dict[str, list[float]] | Texts)
    ] = {}
    match: str | None = None

    @model_validator(mode="after")
    def _require_few_runs(self) -> "Grid":
        runs = math.prod(map(len, self._lists()))
        if runs > MOST_RUNS:
            raise UsageError(
                f"methods, template, shots, seeds, budget_grid and vary together describe {runs:,} runs of a task, "
                f"{MOST_RUNS:,} are allowed; name fewer of them"
            )
        return self

    def _lists(self) -> list[Sized]:
        """The lists of which each combination is a run."""
        return [self.methods, self.template, self.shots, self.seeds, *self.budget_grid.values()]


class Block(Grid):
    """A grid of runs on one task, or on a sequence of tasks.

    Attributes:
        task: Name of the task, or of the sequence.
        sequence: Names of tasks that are learnt one after the other, in place of ``task``.
        vary: Several values of one field of a method; all runs of that method are made with each of them.
    """

    @model_validator(mode="before")
    @classmethod
    def _read_task(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not values.get("sequence"):
            return current_task(values)
        names = [current_task({"task": name})["task"] for name in read_names(values["sequence"])]
        if len(names) < 2:
            raise UsageError(f"sequence needs two tasks or more, got {shown(values['sequence'])}")
        if values.get("task", joined_name(names)) != joined_name(names):
            raise UsageError("task and sequence both say what a block runs on; leave one out")
        return {**values, "sequence": names, "task": joined_name(names)}

    task: str
    sequence: Names = []
    vary: Annotated[dict[str, dict[str, list[Any]]], BeforeValidator(read_vary)] = {}

    @model_validator(mode="after")
    def _require_one_place(self) -> "Block":
        for method, fields in self.vary.items():
            if both := fields.keys() & self.set.get(method, {}).keys():
                raise UsageError(f"vary and set both give {method}.{min(both)} on {self.task}; leave one of them out")
        return self

    def varied(self) -> list["Block"]:
        """The block once for each value of ``vary``, with the value in ``set``.

        Returns:
            Blocks without ``vary``; the block itself where nothing is varied.
        """
        settings = [
            {**self.set, method: {**self.set.get(method, {}), field: value}}
            for method, fields in self.vary.items()
            for field, values in fields.items()
            for value in values
        ]
        return [self.model_copy(update={"vary": {}, "set": each}) for each in settings] or [self]

    def _lists(self) -> list[Sized]:
        return [*super()._lists(), *(values for fields in self.vary.values() for values in fields.values())]


class Suite(BaseModel):
    """A suite file: blocks of runs under one name.

    Attributes:
        name: Name of the suite.
        description: What it is for, in a line.
        tune_all: Trials of a search that tunes each method first, if any.
        blocks: The grids of runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    tune_all: int | None = Field(default=None, ge=1, le=MOST)
    blocks: list[Block] = Field(min_length=1)


def suite_paths() -> dict[str, Path]:
    """The suites that ship with the project, by name."""
    folder = Path(str(files("bench.spec"))) / "suites"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_suite(name: str) -> Suite:
    """A shipped suite by name, or any YAML file by path.

    Args:
        name: Name or path.

    Returns:
        The suite.

    Raises:
        UsageError: For an unknown name, a missing file or a wrong field.
    """
    path = suite_paths().get(name) or user_path(name)
    if not path.is_file():
        if path.suffix in {".yaml", ".yml"}:
            raise UsageError(f"no such suite file: {path}")
        raise did_you_mean("suite", name, suite_paths())
    found = read_yaml(path, "suite", "a mapping with 'name' and 'blocks'")
    return validated(Suite, found.fields, f"suite {path.name}", found.lines)
