"""Test-time training that goes on with further support sets."""

from torch import Tensor

from bench.contracts import MethodConfig, Support
from methods._continual_peft import ContinualPeft
from methods._continual_training import TrainedOn
from methods.test_time_training import TestTimeTraining


class ContinualTestTimeTraining(TrainedOn, TestTimeTraining):
    """Adapters are trained on, on tasks made of the examples of all support sets so far, as all stand before queries.

    The examples are a part of the state, and those of earlier support sets are demonstrations in later tasks too.
    """

    _further = False

    @classmethod
    def continues(cls, config: MethodConfig) -> str | None:
        """The variants that go on by themselves."""
        return ContinualPeft.continues(config)

    def continue_adapt(self) -> None:
        """Read the next support set before the first step on it."""
        super().continue_adapt()
        self._further = True
        for note in ("demonstrations_kept", "tasks"):
            self.notes.pop(note, None)

    def batch_loss(self, support: Support) -> Tensor:
        """The loss of some tasks, after the examples of a further support set have joined the others."""
        if self._further:
            self._further = False
            self.begin(support)
        return super().batch_loss(support)


PLUGIN = ContinualTestTimeTraining
