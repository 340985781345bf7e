"""Options of a call, from the command line or Python, as a suite with checked names."""

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from bench.contracts.errors import UsageError
from bench.contracts.validation import validated
from bench.spec.best_config import read_configs
from bench.spec.list_fields import Names
from bench.spec.mapping_texts import read_columns, read_fields, read_limits, read_ranges
from bench.spec.names import check_names
from bench.spec.suite import Block, Grid, Limit, Suite, load_suite
from bench.toolkit.files import user_path


def _paths(value: Any) -> Any:
    listed = [value] if isinstance(value, str | PathLike) else value
    if not isinstance(listed, list | tuple):
        return listed
    return [user_path(path) if isinstance(path, str | PathLike) else path for path in listed]


class OwnData(BaseModel):
    """Options of tasks that read a user's own data; they become the argument of a task's name.

    Attributes:
        columns: Columns of tables that the tasks read, with their names there, such as ``text=review,label=stars``.
        splits: Names of the support and of the query split, such as ``train,test``; or of one split that is halved.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: Annotated[dict[str, str], BeforeValidator(read_columns)] = Field(default={})
    splits: Names = Field(default=[], max_length=2)

    def full_name(self, task: str) -> str:
        """The name of a task with the columns and splits as its argument, which is part of a run's identity.

        Args:
            task: Name of the task.

        Returns:
            The name, as records and tables have it.

        Raises:
            UsageError: If a column or a split has a plus sign in its name.
        """
        parts = [f"{name}={value}" for name, value in self.columns.items()]
        if self.splits:
            parts.append(f"splits={'/'.join(self.splits)}")
        if odd := [part for part in parts if "+" in part]:
            raise UsageError(f"columns and splits need names without '+', got {odd[0]}; rename it in the data")
        return "+".join([task, *parts] if ":" in task or not parts else [f"{task}:{parts[0]}", *parts[1:]])


class RunOptions(OwnData, Grid):
    """Options that describe the runs of ``bench run`` and ``bench.run``: those of a suite's block, for several tasks.

    Attributes:
        task: Names of tasks; each becomes a block.
        config: Files from ``bench sweep``, each a method with its config; its defaults are run beside it.
    """

    task: Names = Field(default=[])
    methods: Names = Field(default=[])
    config: Annotated[list[Path], BeforeValidator(_paths)] = Field(default=[])

    def blocks(self) -> list[Block]:
        """One block per task, and another for methods with a config from a file, with their defaults.

        Returns:
            The blocks.

        Raises:
            UsageError: Without a task or a method; for a file without a config, and for a config that ``set`` also
                changes.
        """
        found = read_configs(self.config)
        methods = list(dict.fromkeys([*self.methods, *found]))
        if not (self.task or methods):
            raise UsageError("a run needs a suite, or a task and a method; see 'bench list suites'")
        if not self.task:
            raise UsageError(f"a run of {', '.join(methods)} needs a task: --task NAME; see 'bench list tasks'")
        if not methods:
            raise UsageError(f"a run on {', '.join(self.task)} needs a method: --method NAME; see 'bench list methods'")
        for method in found.keys() & self.set.keys():
            raise UsageError(f"set changes {method}, whose config comes from a file; change the file, or leave it out")
        # Without defaults: the name of a task of the first edition may stand for a prompt style.
        fields = {name: getattr(self, name) for name in Grid.model_fields if name in self.model_fields_set}
        fields |= {
            "methods": methods,
            "set": {**self.set, **{name: best.config for name, best in found.items()}},
            "tuning": {name: best.tuning for name, best in found.items()},
        }
        tasks = [self.full_name(task) for task in self.task]
        tuned = [Block(task=task, **fields) for task in tasks]
        if self.match is not None or self.preset is not None or self.tune_all is not None:
            return tuned
        plain = {name: {key: best.config[key] for key in best.config.keys() & {"site"}} for name, best in found.items()}
        beside = fields | {"methods": list(plain), "set": plain, "tuning": {}}
        return [*tuned, *(Block(task=task, **beside) for task in tasks if plain)]


class _Changes(BaseModel):
    """Options that a suite may be run with, which replace what its blocks have.

    Attributes:
        preset: As in ``Grid``.
        limit: As in ``Grid``.
    """

    preset: str | None = None
    limit: Limit = None


class SweepOptions(BaseModel):
    """Options of ``bench sweep`` and ``bench.sweep`` that may be text.

    Attributes:
        objective: Objectives, the first of which decides.
        set: Fields with a fixed value.
        vary: Fields to vary, with their ranges.
        budget: Limits by axis.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: Names = []
    set: Annotated[dict[str, Any], BeforeValidator(read_fields)] = {}
    vary: Annotated[dict[str, Any], BeforeValidator(read_ranges)] = {}
    budget: Annotated[dict[str, float], BeforeValidator(read_limits)] = {}


def read_suite(suite: str | PathLike[str] | None, options: Mapping[str, Any]) -> Suite:
    """The suite of a call, from its name or from options.

    Args:
        suite: Name or YAML file of a suite; None for one made of the options.
        options: Options by name, those of ``RunOptions`` and ``method``; None stands for an option that is absent.

    Returns:
        The suite; ``tune_all`` is resolved for each block.

    Raises:
        UsageError: For a wrong name, value or combination, in one line.
    """
    options = {name: value for name, value in options.items() if value is not None}
    if suite is None:
        found = Suite(name="command line", blocks=validated(RunOptions, options, "run").blocks())
    else:
        found = load_suite(fspath(suite))
        changeable = _Changes.model_fields.keys() & options.keys()
        if twice := [name for name in options if name not in {*changeable, "tune_all"}]:
            raise UsageError(
                f"the suite {found.name} already describes the runs; leave out {', '.join(twice)}, or the suite"
            )
        tuned = options.get("tune_all")
        if tuned is not None and any(block.tune_all for block in found.blocks):
            raise UsageError(f"the suite {found.name} already has tune_all in its blocks; leave tune_all out")
        changes = validated(_Changes, {name: options[name] for name in changeable}, "run")
        given = changes.model_dump(exclude_unset=True)
        blocks = [
            block.model_copy(update={**given, "tune_all": block.tune_all or tuned or found.tune_all})
            for block in found.blocks
        ]
        found = found.model_copy(update={"blocks": blocks})
    for block in found.blocks:
        check_names(block)
    return found
