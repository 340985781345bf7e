"""Language models whose adapters are trained on with further support sets."""

from bench.contracts import Continual, TextScorer
from methods._training_lm import LMFineTune


class TrainedOn(Continual, LMFineTune):
    """Training goes on from the present parameters, with a new optimizer and schedule for each support set."""

    def continue_adapt(self) -> None:
        """Forget the tokens of earlier examples; parameters stay as they are."""
        self._examples.clear()
        self._windows.clear()

    def language_model(self) -> TextScorer | None:
        """The adapted model."""
        return self.reader
