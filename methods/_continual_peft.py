"""Adapters of peft's variants, trained on with further support sets."""

from bench.contracts import MethodConfig
from methods._continual_training import TrainedOn
from methods.peft import Peft


class ContinualPeft(TrainedOn, Peft):
    """The adapters of earlier support sets are trained on; see TrainedOn."""

    @classmethod
    def continues(cls, config: MethodConfig) -> str | None:
        """All variants but AdaLoRA, whose ranks are planned for one training."""
        allocates = getattr(config, "variant", "") == "adalora"
        return "variant=adalora plans its ranks for one training, use another variant" if allocates else None


PLUGIN = ContinualPeft
