"""Search space of a sweep: the fields of a method's config with ``Tune``, and their bounds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import optuna
from annotated_types import Ge, Gt, Le, Lt
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from bench.contracts import MethodConfig, Tune, UsageError
from bench.contracts.errors import did_you_mean

Choice = bool | int | float | str


class NothingToTuneError(UsageError):
    """A method's config, or a task, has nothing to tune."""


class Range(BaseModel):
    """A user's range of a field, in place of its ``Tune`` or of parts of it.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Whether steps are ratios.
        choices: Values to choose from in place of a range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float | None = Field(default=None, allow_inf_nan=False)
    high: float | None = Field(default=None, allow_inf_nan=False)
    log: bool | None = None
    choices: tuple[Choice, ...] | None = None


@dataclass(frozen=True)
class Dimension:
    """A field that is varied.

    Attributes:
        name: Name of the field.
        distribution: Optuna's range or choice.
    """

    name: str
    distribution: BaseDistribution

    @property
    def numeric(self) -> bool:
        """Whether the dimension is a range, and not a choice."""
        return not isinstance(self.distribution, CategoricalDistribution)

    def suggest(self, trial: optuna.Trial) -> Any:
        """Value of a trial.

        Args:
            trial: The trial.

        Returns:
            The value.
        """
        match self.distribution:
            case FloatDistribution(low=low, high=high, log=log):
                return trial.suggest_float(self.name, low, high, log=log)
            case IntDistribution(low=low, high=high, log=log):
                return trial.suggest_int(self.name, low, high, log=log)
            case CategoricalDistribution(choices=choices):
                return trial.suggest_categorical(self.name, choices)
        raise TypeError(f"{self.name} has an unknown distribution, {self.distribution}")

    def contains(self, value: Any) -> bool:
        """Whether a value is in the range or among the choices.

        Args:
            value: The value.

        Returns:
            True if it is.
        """
        if isinstance(self.distribution, CategoricalDistribution):
            return value in self.distribution.choices
        return _is_number(value) and self.distribution.low <= value <= self.distribution.high  # type: ignore[attr-defined]

    def clamped(self, value: Any) -> Any:
        """A number that is outside of the range as the nearest end of it; all else as it is.

        Args:
            value: The value.

        Returns:
            The value, or the end.
        """
        if not (self.numeric and _is_number(value)):
            return value
        return min(self.distribution.high, max(self.distribution.low, value))  # type: ignore[attr-defined]

    def grid(self, points: int) -> list[Any]:
        """Values of a grid: all choices, or evenly spaced points of a range, of whole numbers each once.

        Args:
            points: Number of points of a range.

        Returns:
            The values.
        """
        if isinstance(self.distribution, CategoricalDistribution):
            return list(self.distribution.choices)
        low, high = self.distribution.low, self.distribution.high  # type: ignore[attr-defined]
        logarithmic = self.distribution.log  # type: ignore[attr-defined]
        ends = (math.log(low), math.log(high)) if logarithmic else (low, high)
        steps = [ends[0] + (ends[1] - ends[0]) * place / max(1, points - 1) for place in range(points)]
        # Clamped, because the logarithm's exponential may miss an end by rounding.
        values = [min(high, max(low, math.exp(step) if logarithmic else step)) for step in steps]
        return list(dict.fromkeys(map(round, values))) if isinstance(self.distribution, IntDistribution) else values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def space_of(
    method: str, config: type[MethodConfig], fixed: Mapping[str, Any], changes: Mapping[str, Range]
) -> list[Dimension]:
    """The dimensions of a method's config.

    Args:
        method: Name of the method, for messages.
        config: Class of the config.
        fixed: Fields with a fixed value.
        changes: A user's ranges, also of fields without a ``Tune``.

    Returns:
        The dimensions in the order of the fields.

    Raises:
        UsageError: For an unknown field, and for a range that is empty, has no end or exceeds the field's bounds.
        NothingToTuneError: If there is nothing to vary.
    """
    for name in changes:
        if name not in config.model_fields:
            raise did_you_mean("field", name, config.model_fields, f"in the config of {method}")
        if name in fixed:
            raise UsageError(f"{method}.{name} is both set and varied; leave one of them out")
    dimensions = []
    for name, field in config.model_fields.items():
        hint = next((each for each in field.metadata if isinstance(each, Tune)), None)
        if name in fixed or (hint is None and name not in changes):
            continue
        dimension = Dimension(name, _distribution(f"{method}.{name}", field, hint or Tune(), changes.get(name)))
        _require_valid(method, config, dimension, fixed)
        dimensions.append(dimension)
    if not dimensions:
        raise NothingToTuneError(
            f"{method} has nothing to tune: no field of its config is marked by Tune, or all of them are set"
        )
    return dimensions


def _distribution(what: str, field: FieldInfo, hint: Tune, change: Range | None) -> BaseDistribution:
    changed = {} if change is None else change.model_dump(exclude_none=True)
    choices = changed.get("choices") or hint.choices or _choices(field.annotation)
    if choices and not changed.keys() & {"low", "high", "log"}:
        return CategoricalDistribution(choices)
    bounds = _bounds(field)
    low = changed.get("low", bounds[0] if hint.low is None else hint.low)
    high = changed.get("high", bounds[1] if hint.high is None else hint.high)
    logarithmic = changed.get("log", hint.log)
    if low is None or high is None:
        raise UsageError(f"{what} has no {'lower' if low is None else 'upper'} end; give a range LOW:HIGH")
    if low >= high:
        raise UsageError(f"{what} needs a range whose low end is below its high end, got {low:g}:{high:g}")
    if logarithmic and low <= 0:
        raise UsageError(f"{what} needs a low end above 0 for a logarithmic range, got {low:g}:{high:g}")
    if not _whole(field.annotation):
        return FloatDistribution(low, high, log=logarithmic)
    if low != int(low) or high != int(high):
        raise UsageError(f"{what} is a whole number and needs such ends, got {low:g}:{high:g}")
    return IntDistribution(int(low), int(high), log=logarithmic)


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """The types that a field may have."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) is Literal or not get_args(annotation):
        return (annotation,)
    return tuple(each for part in get_args(annotation) for each in _alternatives(part))


def _choices(annotation: Any) -> tuple[Choice, ...]:
    """Values of a Literal or a bool, where the field has no other type."""
    kinds = [kind for kind in _alternatives(annotation) if kind is not type(None)]
    if kinds == [bool]:
        return (False, True)
    return get_args(kinds[0]) if len(kinds) == 1 and get_origin(kinds[0]) is Literal else ()


def _whole(annotation: Any) -> bool:
    kinds = _alternatives(annotation)
    return int in kinds and float not in kinds


def _bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    """Bounds of a field; an open bound is used as it is, and rejected by the config itself."""
    low = high = None
    for bound in field.metadata:
        match bound:
            case Ge(ge=value) | Gt(gt=value):
                low = value
            case Le(le=value) | Lt(lt=value):
                high = value
    return low, high  # type: ignore[return-value]


def _require_valid(method: str, config: type[MethodConfig], dimension: Dimension, fixed: Mapping[str, Any]) -> None:
    """Require that the config accepts the ends of a range, and all choices."""
    for value in dimension.grid(2):
        try:
            config.model_validate({**fixed, dimension.name: value})
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise UsageError(
                f"the space of {method}.{dimension.name} has {value!r}, which its config refuses: {reason}"
            ) from None
