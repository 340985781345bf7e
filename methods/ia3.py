"""IA3: learnt scales of keys, values and inner activations, trained through the frozen language model."""

from typing import Annotated, Any, ClassVar

from peft import IA3Config, inject_adapter_in_model
from peft.utils.constants import TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING
from pydantic import Field

from bench.contracts import LanguageBackbone, Tune, UsageError
from methods._peft_lm import PeftMethod
from methods._training_lm import TrainingConfig


class ScalesConfig(TrainingConfig):
    """Hyper-parameters of IA3."""

    lr: Annotated[float, Tune(1e-4, 1e-1, log=True)] = Field(
        default=3e-3,
        gt=0,
        le=1,
        description="AdamW's rate, falling to 0 along a cosine; 3e-3 is the paper's, in Adafactor.",
    )


class IA3(PeftMethod):
    """Scales start at 1, which changes nothing; they stand where peft puts them in the model's family."""

    Config: ClassVar[type[ScalesConfig]] = ScalesConfig
    config: ScalesConfig
    # Decay would draw the scales to 0, not to 1.
    weight_decay = 0.0
    source = (
        "Liu et al. 2022, Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning, "
        "arXiv 2205.05638"
    )

    def insert(self, adapted: LanguageBackbone) -> None:
        """Put scales into the copy. Raises UsageError if peft does not know its family."""
        network: Any = adapted.causal_lm
        family = network.config.model_type
        known = TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING
        if family not in known:
            raise UsageError(f"ia3 knows where to stand in models of {', '.join(sorted(known))}; got one of {family}")
        inject_adapter_in_model(IA3Config(), network)
        self.notes["adapted"] = ", ".join(sorted(known[family]))


PLUGIN = IA3
