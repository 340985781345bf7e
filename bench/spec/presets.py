"""Presets: named sets of hand-tuned hyper-parameters, by task, backbone and method."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from bench import own_packages
from bench.contracts.errors import UsageError, did_you_mean
from bench.contracts.kinds import Kind
from bench.contracts.site import Site
from bench.registry import method_name
from bench.spec.yaml_text import read_yaml

MOST_SHOTS = 100
"""Number of shots above which a published value is constant."""


class Rule(BaseModel):
    """Fields of a method on some tasks and backbones.

    Attributes:
        tasks: Patterns of names of tasks.
        backbones: Patterns of names of backbones.
        method: ``NAME`` or ``NAME@SITE``; without a site, the rule is for the default site of the task's kind.
        set: Values of the method's fields.
        shots: "full" for a rule of full support sets alone; None for any number.
        by_shots: Amounts added to values at MOST_SHOTS shots and more, and in proportion below.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: tuple[str, ...]
    backbones: tuple[str, ...] = ("*",)
    method: str
    shots: Literal["full"] | None = None
    set: dict[str, Any]
    by_shots: dict[str, float] = {}

    def applies(self, task: str, backbone: str, method: str, site: Site | None, kind: Kind) -> bool:
        """Whether the rule applies to a run.

        Args:
            task: The run's task.
            backbone: Its backbone.
            method: Name of its method's plugin.
            site: Site of the method; None if it has no choice.
            kind: Kind of the task.

        Returns:
            True if task, backbone, method and site match.
        """
        name, own = method_name(self.method)
        return (
            method == name
            and site in {None, own or Site.of_kind(kind)}
            and any(fnmatchcase(task, pattern) for pattern in self.tasks)
            and any(fnmatchcase(backbone, pattern) for pattern in self.backbones)
        )

    def fields(self, shots: int | str) -> dict[str, Any]:
        """Values of the fields at a number of shots.

        Args:
            shots: The number, or "full".

        Returns:
            Values by field.
        """
        share = 1.0 if shots == "full" else min(int(shots), MOST_SHOTS) / MOST_SHOTS
        return {**self.set, **{name: self.set[name] + share * added for name, added in self.by_shots.items()}}


class Preset(BaseModel):
    """A preset's file.

    Attributes:
        source: Where the values were published.
        rules: Rules in order; the first that applies decides.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    rules: tuple[Rule, ...]

    def rule(
        self, task: str, backbone: str, method: str, site: Site | None, kind: Kind, shots: int | str | None = None
    ) -> Rule | None:
        """The first rule that applies to a run.

        Args:
            task: The run's task.
            backbone: Its backbone.
            method: Name of its method's plugin.
            site: Site of the method; None if it has no choice.
            kind: Kind of the task.
            shots: The number, or "full"; None for a rule at any number.

        Returns:
            The rule, or None.
        """
        found = (rule for rule in self.rules if rule.applies(task, backbone, method, site, kind))
        return next((rule for rule in found if shots is None or rule.shots in {None, shots}), None)


def preset_paths() -> dict[str, Path]:
    """The presets that ship with the project, by name."""
    folder = own_packages.folder("bench.spec") / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


@cache
def preset(name: str) -> Preset:
    """A preset by name.

    Args:
        name: Name of the file without its ending.

    Returns:
        The preset.

    Raises:
        UsageError: For an unknown name, with the closest known one.
    """
    known = preset_paths()
    if name not in known:
        raise did_you_mean("preset", name, known)
    return Preset.model_validate(read_yaml(known[name], "preset").fields)


def nothing_said(name: str, task: str, backbone: str, methods: Sequence[str]) -> UsageError:
    """The error for a preset without a rule for a task: its values would be the defaults under another name.

    Args:
        name: The preset.
        task: The task.
        backbone: The backbone.
        methods: The methods.

    Returns:
        The error, with the tasks of the preset.
    """
    tasks = sorted({pattern for rule in preset(name).rules for pattern in rule.tasks})
    return UsageError(
        f"the preset {name} has no rule for {', '.join(methods)} on {task} with {backbone}; leave it out. "
        f"Its tasks: {', '.join(tasks)}"
    )
