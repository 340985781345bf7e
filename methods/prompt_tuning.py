"""Prompt tuning: input embeddings of virtual tokens before every text, trained through the frozen language model."""

from typing import Annotated, ClassVar

from peft import PromptTuningConfig, PromptTuningInit, TaskType
from pydantic import Field

from bench.contracts import LanguageBackbone, Tune
from methods._virtual_tokens import SoftPromptMethod, VirtualConfig


class PromptConfig(VirtualConfig):
    """Hyper-parameters of prompt tuning."""

    lr: Annotated[float, Tune(1e-4, 0.3, log=True)] = Field(
        default=3e-2,
        gt=0,
        le=1,
        description="AdamW's rate, falling to 0 along a cosine; 3e-2 is peft's, the paper has 0.3 in Adafactor.",
    )


class PromptTuning(SoftPromptMethod):
    """Virtual tokens start as embeddings of tokens drawn from the vocabulary, as in the paper."""

    Config: ClassVar[type[PromptConfig]] = PromptConfig
    config: PromptConfig
    source = "Lester et al. 2021, The Power of Scale for Parameter-Efficient Prompt Tuning, arXiv 2104.08691"

    def insert(self, adapted: LanguageBackbone) -> None:
        """Put the virtual tokens before what the copy reads."""
        config = PromptTuningConfig(
            task_type=TaskType.CAUSAL_LM,
            num_virtual_tokens=self.config.virtual_tokens,
            prompt_tuning_init=PromptTuningInit.SAMPLE_VOCAB,
        )
        self.put_before(adapted, config)


PLUGIN = PromptTuning
