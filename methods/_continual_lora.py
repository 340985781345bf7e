"""LoRA, trained on with further support sets."""

from bench.contracts import TextScorer
from methods._continual_training import TrainedOn
from methods.lora import Lora


class ContinualLora(TrainedOn, Lora):
    """The updates of earlier support sets are trained on; see TrainedOn."""

    def language_model(self) -> TextScorer | None:
        """The adapted model; None on images."""
        return None if self._sees_images else super().language_model()


PLUGIN = ContinualLora
