"""LoRA, trained on with further support sets."""

from bench.contracts import LanguageBackbone
from methods._continual_training import TrainedOn
from methods.lora import Lora


class ContinualLora(TrainedOn, Lora):
    """The updates of earlier support sets are trained on; see TrainedOn."""

    def language_model(self) -> LanguageBackbone | None:
        """The adapted model; None on images."""
        return None if self._sees_images else super().language_model()


PLUGIN = ContinualLora
