"""What a method tells sweeps: where its hyper-parameters may be looked for, and how to try many of them cheaply."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

Config = TypeVar("Config")


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


class LeaveOneOut(ABC, Generic[Config]):
    """Answers for support items, each by the method adapted to the other items of its episode.

    Made once for a support set, and asked with many configs: what they share is computed once.
    """

    labels: Tensor
    """``[episode, item]``, of the items that are answered for."""
    mask: Tensor
    """``[episode, item]``, False where there is no item, or none else of its class, so that its answer says nothing."""

    @abstractmethod
    def serves(self, config: Config) -> bool:
        """Whether it can answer for a config; each trial that it cannot adapts anew."""

    @abstractmethod
    def scores(self, config: Config) -> Tensor:
        """Scores ``[episode, item, way]``, see ``Method.predict``."""
