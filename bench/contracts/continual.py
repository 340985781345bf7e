"""Capabilities of methods beyond one support set: going on from a state, and taking examples out of it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from bench.contracts.config import MethodConfig
    from bench.contracts.data import Support


class TextScorer(Protocol):
    """What generic texts are scored by in a sequence of tasks; every ``LanguageBackbone`` is one."""

    def eval(self) -> Any:
        """Put it into evaluation mode.

        Returns:
            Itself.
        """

    def loglikelihood_rolling(self, texts: Sequence[str], window: int, stride: Any) -> "Tensor":
        """Negative log-likelihood of texts; see ``LanguageBackbone.loglikelihood_rolling``.

        Args:
            texts: The texts.
            window: Tokens of a window.
            stride: Tokens from one window to the next; None for ``window``.

        Returns:
            ``[text, 2]``, sums in nats and numbers of tokens.
        """


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

    def language_model(self) -> TextScorer | None:
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
