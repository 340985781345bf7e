"""Configs of methods: hyper-parameters with their bounds and search ranges."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

LARGEST = 1e12
"""Largest number of a config, of either sign."""


@dataclass(frozen=True)
class Tune:
    """Search range of a config field, as an annotation of its type.

    ``lr: Annotated[float, Tune(1e-4, 1.0, log=True)] = Field(default=1e-2, gt=0, description="...")``

    Attributes:
        low: Smallest value; by default the field's own lower bound.
        high: Largest value; by default the field's own upper bound.
        log: Whether steps are ratios.
        choices: Values to choose from in place of a range; not needed for a Literal or a bool.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[bool | int | float | str, ...] = ()


class MethodConfig(BaseModel):
    """Hyper-parameters of a method, read by the command line, suites, trackers and sweeps.

    A field with a ``Tune`` annotation is varied by sweeps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="after")
    @classmethod
    def _read_value(cls, value: Any) -> Any:
        if isinstance(value, Path):
            with suppress(RuntimeError):  # ~name of an unknown user stands for itself
                return value.expanduser()
        # In float32 the square of a larger number is infinite.
        if isinstance(value, int | float) and abs(value) > LARGEST:
            raise ValueError(f"needs a number of {LARGEST:g} at most")
        return value


class AssociativeConfig(MethodConfig):
    """Hyper-parameters of all associative methods."""

    prior_strength: Annotated[float | None, Tune(0.1, 1e4, log=True)] = Field(
        default=None,
        ge=0,
        description="Examples that the zero-shot prior counts for (N0); by default the task's or the backbone's value.",
    )
