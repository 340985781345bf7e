"""Capabilities of methods beyond one support set: going on from a state, and taking examples out of it."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.contracts.config import MethodConfig
    from bench.contracts.data import Support
    from bench.contracts.language_backbone import LanguageBackbone


class Continual(ABC):
    """Capability of a method to go on from its state with a further support set, as a sequence of tasks needs.

    A method class has it beside ``ForwardMethod`` or ``GradientMethod``. The harness adapts an instance to the first
    support set as usual, calls ``continue_adapt``, and adapts it to the next one by the same calls as before:
    ``observe`` and ``solve``, or optimizer steps on ``loss`` and ``finish``. ``ProblemShape`` describes all support
    sets together: ``n_support`` is their sum, and ``n_way`` counts the classes of all tasks, each by its name.
    """

    @classmethod
    def continues(cls, config: "MethodConfig") -> str | None:
        """Whether the method goes on from its state with a config.

        Args:
            config: The config.

        Returns:
            None if it does, which is the default; else the reason why not, in a few words.
        """
        return None

    @abstractmethod
    def continue_adapt(self) -> None:
        """Prepare to be adapted to a further support set, from the present state on; called before its first batch."""

    def language_model(self) -> "LanguageBackbone | None":
        """The language model as it is adapted by now, to measure what it has lost of other texts.

        Returns:
            The model; None, the default, for a method that leaves the model as it is.
        """
        return None


class Removing(Continual):
    """Capability of a continual method to take examples out of its state exactly."""

    @classmethod
    def removes(cls, config: "MethodConfig") -> bool:
        """Whether removing is exact with a config.

        Args:
            config: The config.

        Returns:
            True, unless overridden.
        """
        return True

    @abstractmethod
    def forget(self, support: "Support") -> None:
        """Take a support set out of the state, as if it had never been observed; without gradients.

        ``solve`` is called once afterwards, as after the last batch.

        Args:
            support: Items that were observed, with their labels.
        """
