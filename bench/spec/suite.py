"""Suites: grids of runs, in YAML files."""

import math
from collections.abc import Sized
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bench import own_packages
from bench.contracts.errors import UsageError, did_you_mean, shown
from bench.contracts.kinds import Precision, PromptStyle, Template
from bench.contracts.sequence import joined_name
from bench.contracts.validation import validated
from bench.spec.aliases import current_task, renamed_keys
from bench.spec.list_fields import Names, ShotsList
from bench.spec.list_texts import read_names, read_seeds, read_templates
from bench.spec.mapping_texts import read_limit_grid, read_limits, read_settings
from bench.spec.tuning import Tuning
from bench.spec.vary import read_vary
from bench.spec.yaml_text import read_yaml
from bench.toolkit.files import user_path

Settings = dict[str, dict[str, Any]]
Texts = list[str] | str
"""Form of the command line, which fields take beside their own."""
MOST = 10**6
"""Largest number of episodes, queries, ways or trials."""
Limit = Annotated[int, Field(ge=1, le=MOST)] | None
MOST_RUNS = 100_000
"""Largest number of runs of a block."""


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
    folder = own_packages.folder("bench.spec") / "suites"
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
