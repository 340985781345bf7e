"""Prefix tuning: keys and values of virtual tokens in every block, trained through the frozen language model."""

from typing import Annotated, ClassVar

from peft import PrefixTuningConfig, TaskType
from pydantic import Field

from bench.contracts import LanguageBackbone, Tune
from methods._virtual_tokens import SoftPromptMethod, VirtualConfig


class PrefixConfig(VirtualConfig):
    """Hyper-parameters of prefix tuning."""

    lr: Annotated[float, Tune(1e-4, 1e-1, log=True)] = Field(
        default=1e-2,
        gt=0,
        le=1,
        description="AdamW's rate, falling to 0 along a cosine; 1e-2 is peft's for keys and values trained "
        "themselves, the paper has 5e-5 for a network that makes them.",
    )


class PrefixTuning(SoftPromptMethod):
    """Keys and values are trained themselves, without the paper's network that makes them, as by peft's default.

    They start as the model's own for tokens drawn from its vocabulary: the paper found activations of real words much
    better than random numbers where there are few examples, and of peft's random ones the model answers nonsense.
    """

    Config: ClassVar[type[PrefixConfig]] = PrefixConfig
    config: PrefixConfig
    source = "Li and Liang 2021, Prefix-Tuning: Optimizing Continuous Prompts for Generation, arXiv 2101.00190"

    def insert(self, adapted: LanguageBackbone) -> None:
        """Put the virtual tokens' keys and values before what the copy reads."""
        config = PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=self.config.virtual_tokens)
        self.put_before(adapted, config)


PLUGIN = PrefixTuning
