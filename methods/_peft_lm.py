"""Language models adapted by peft: a copy of the network with adapters in it, trained on the examples as texts."""

import warnings
from abc import abstractmethod
from typing import ClassVar, cast

from transformers import PreTrainedModel

from bench.contracts import Backbone, LanguageBackbone, ProblemShape, UsageError
from bench.toolkit.seeds import seeded
from methods._adapted import copied
from methods._training_lm import LMFineTune, TrainingConfig


class PeftMethod(LMFineTune):
    """Adapters in a copy of the frozen language model; see LMFineTune for what they learn.

    The network stays in evaluation mode but for the adapters' own dropout.
    """

    Config: ClassVar[type[TrainingConfig]] = TrainingConfig
    config: TrainingConfig

    def __init__(self, config: TrainingConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.adapted = self.adapt(backbone)
        self.in_float32()

    @property
    def reader(self) -> LanguageBackbone:
        """The copy."""
        return cast(LanguageBackbone, self.adapted)

    def ready(self) -> None:
        """Of the whole network, have the adapters' own dropout alone train."""
        super().ready()
        for name, module in self.adapted.named_modules():
            if name.endswith("lora_dropout"):
                module.train()

    def adapt(self, backbone: Backbone) -> Backbone:
        """A copy of the backbone with adapters in it. Raises UsageError if it is no language model of transformers."""
        if not isinstance(backbone, LanguageBackbone) or not isinstance(backbone.causal_lm, PreTrainedModel):
            raise UsageError(
                f"{type(self).__name__} adapts language models of transformers, got {type(backbone).__name__}; "
                "choose a language backbone"
            )
        adapted = cast(LanguageBackbone, copied(backbone))
        with seeded(self.shape.seed, backbone.causal_lm.device), warnings.catch_warnings():
            # peft warns of settings that it then sets right by itself.
            warnings.simplefilter("ignore")
            self.insert(adapted)
        return adapted

    @abstractmethod
    def insert(self, adapted: LanguageBackbone) -> None:
        """Put adapters into a copy of the backbone, for everything that it runs to go through."""
