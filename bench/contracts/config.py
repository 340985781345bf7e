"""What a method tells sweeps: where its hyper-parameters may be looked for, and how to try many of them cheaply."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True)
class Tune:
    """Marks a field of a config as one that sweeps vary, beside its type.

    ``lr: Annotated[float, Tune(1e-4, 1.0, log=True)] = Field(default=1e-2, gt=0, description="...")``

    low, high: ends of the range, both included; by default the field's own bounds. log: steps are ratios.
    choices: what to choose from, instead of a range; those of a Literal or a bool need not be given.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[bool | int | float | str, ...] = ()


class MethodConfig(BaseModel):
    """Hyper-parameters of a method: the command line, suites, W&B and sweeps all read this class.

    A field that a sweep is to vary says so, and where, by ``Tune``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AssociativeConfig(MethodConfig):
    """What all associative methods share."""

    prior_strength: Annotated[float | None, Tune(0.1, 1e4, log=True)] = Field(
        default=None,
        ge=0,
        description="Examples that the frozen model's own answer is worth; by default the task's or backbone's value.",
    )
