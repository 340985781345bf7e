"""Named sets of hyper-parameters that somebody set by hand, by task, backbone and method."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from bench.contracts.errors import UsageError, did_you_mean

MOST_SHOTS = 100
"""Shots from which on a published value does not change any more."""


class Rule(BaseModel):
    """Fields of a method on some tasks and backbones, which are patterns of names.

    set: their values. by_shots: what is added to a value at MOST_SHOTS shots and more, and in proportion below.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: tuple[str, ...]
    backbones: tuple[str, ...] = ("*",)
    method: str
    set: dict[str, Any]
    by_shots: dict[str, float] = {}

    def applies(self, task: str, backbone: str, method: str) -> bool:
        """Whether a run is one of those that it is for."""
        return (
            method == self.method
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

    def rule(self, task: str, backbone: str, method: str) -> Rule | None:
        """The rule for a run, None where the preset says nothing of it."""
        return next((rule for rule in self.rules if rule.applies(task, backbone, method)), None)


@cache
def preset(name: str) -> Preset:
    """A preset by name. Raises UsageError with the closest name if there is none."""
    folder = Path(str(files("bench.spec"))) / "presets"
    known = {path.stem: path for path in folder.glob("*.yaml")}
    if name not in known:
        raise did_you_mean("presets", name, known)
    return Preset.model_validate(yaml.safe_load(known[name].read_text(encoding="utf-8")))


def require_some(name: str, task: str, backbone: str, methods: Mapping[str, Any] | list[str]) -> None:
    """Raise UsageError where a preset says nothing of a task: its values would be the defaults under another name."""
    if not any(preset(name).rule(task, backbone, method) for method in methods):
        tasks = sorted({pattern for rule in preset(name).rules for pattern in rule.tasks})
        raise UsageError(
            f"the preset {name} says nothing of {', '.join(methods)} on {task} with {backbone}; leave it out. "
            f"Its tasks: {', '.join(tasks)}"
        )
