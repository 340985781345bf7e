"""CLIP-LoRA, trained on with further support sets."""

from bench.contracts import Continual
from methods.clip_lora import ClipLora


class ContinualClipLora(Continual, ClipLora):
    """The updates of earlier support sets are trained on, with a new optimizer and schedule for each."""

    def continue_adapt(self) -> None:
        """Nothing to prepare: the updates stayed."""
        return


PLUGIN = ContinualClipLora
