"""Named sets of hyper-parameters that somebody set by hand, by task, backbone and method."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from bench.contracts.errors import UsageError, did_you_mean
from bench.contracts.kinds import Kind
from bench.contracts.site import Site
from bench.registry import method_name

MOST_SHOTS = 100
"""Shots from which on a published value does not change any more."""


class Rule(BaseModel):
    """Fields of a method on some tasks and backbones, which are patterns of names.

    method: may be ``NAME@SITE``; without a site, the rule is for the default site of the task's kind. set: values of
    its fields. by_shots: what is added to a value at MOST_SHOTS shots and more, and in proportion below.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: tuple[str, ...]
    backbones: tuple[str, ...] = ("*",)
    method: str
    set: dict[str, Any]
    by_shots: dict[str, float] = {}

    def applies(self, task: str, backbone: str, method: str, site: Site | None, kind: Kind) -> bool:
        """Whether a run is one of those that it is for.

        Args:
            task: The run's task.
            backbone: Its backbone.
            method: Name of its method's plugin.
            site: Where the method stands; None if it has no choice.
            kind: Kind of the task.
        """
        name, own = method_name(self.method)
        return (
            method == name
            and site in {None, own or Site.of_kind(kind)}
            and any(fnmatchcase(task, pattern) for pattern in self.tasks)
            and any(fnmatchcase(backbone, pattern) for pattern in self.backbones)
        )

    def fields(self, shots: int | str) -> dict[str, Any]:
        """The fields at a number of shots."""
        share = 1.0 if shots == "full" else min(int(shots), MOST_SHOTS) / MOST_SHOTS
        return {**self.set, **{name: self.set[name] + share * added for name, added in self.by_shots.items()}}


class Preset(BaseModel):
    """A preset's file: the rules in order, the first that applies being the one that counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    rules: tuple[Rule, ...]

    def rule(self, task: str, backbone: str, method: str, site: Site | None, kind: Kind) -> Rule | None:
        """The first rule that applies to a run, see Rule.applies; None where the preset says nothing of it."""
        return next((rule for rule in self.rules if rule.applies(task, backbone, method, site, kind)), None)


@cache
def preset(name: str) -> Preset:
    """A preset by name. Raises UsageError with the closest name if there is none."""
    folder = Path(str(files("bench.spec"))) / "presets"
    known = {path.stem: path for path in folder.glob("*.yaml")}
    if name not in known:
        raise did_you_mean("presets", name, known)
    return Preset.model_validate(yaml.safe_load(known[name].read_text(encoding="utf-8")))


def nothing_said(name: str, task: str, backbone: str, methods: Sequence[str]) -> UsageError:
    """The error for a preset without a rule for a task: its values would be the defaults under another name."""
    tasks = sorted({pattern for rule in preset(name).rules for pattern in rule.tasks})
    return UsageError(
        f"the preset {name} says nothing of {', '.join(methods)} on {task} with {backbone}; leave it out. "
        f"Its tasks: {', '.join(tasks)}"
    )
