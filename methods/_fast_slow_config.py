"""Hyper-parameters of Fast-Slow Training."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from bench.contracts import Tune
from methods._adapters import AdapterConfig


class FastSlowConfig(AdapterConfig):
    """Hyper-parameters of Fast-Slow Training; rollouts, clip, kl and population are published."""

    variant: Literal["lora", "rslora", "dora"] = Field(
        default="lora", description="The kind of low-rank updates, see docs/methods.md."
    )
    fast: bool = Field(default=True, description="Whether prompts evolve.")
    slow: bool = Field(default=True, description="Whether LoRA is trained; without both this is zero_shot.")
    lr: Annotated[float, Tune(1e-5, 1e-2, log=True)] = Field(
        default=1e-4, gt=0, le=1, description="AdamW's rate, after a linear warm-up over 10 steps."
    )
    steps: int = Field(default=30, ge=1, le=1_000_000, description="Slow steps in all.")
    steps_per_cycle: int = Field(default=6, ge=1, le=10_000, description="Slow steps between two evolutions.")
    population: int = Field(default=4, ge=1, le=64, description="Prompts that are kept.")
    rollouts: int = Field(
        default=8, ge=1, le=1024, description="Answers drawn for an item, shared among the prompts (objective=rl)."
    )
    objective: Literal["rl", "exact", "supervised"] = Field(
        default="rl",
        description="rl: sampled answers, as published. exact: the same expected reward without sampling. supervised: "
        "cross-entropy of the right answer, which is not the paper's.",
    )
    fast_calls: int = Field(
        default=5, ge=1, le=1000, description="Prompts scored on an item in an evolution, per item of its steps."
    )
    demonstrations: int = Field(default=4, ge=0, le=64, description="Most demonstrations of a prompt.")
    proposer: Literal["operators", "model"] = Field(
        default="operators",
        description="Where instructions are from. operators: a list. model: the frozen language model, which reads "
        "the present one and what failed.",
    )
    kl: float = Field(
        default=0.001, ge=0, le=100, description="Weight of the divergence from the base model's answers."
    )
    clip: float = Field(default=4.0, gt=0, le=1e6, description="Largest importance ratio (objective=rl).")
    validation: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Share of each class that ranks the prompts at the end and is never trained on (fast).",
    )
    prompt: Literal["evolved", "seed"] = Field(
        default="evolved",
        description="What stands before queries. evolved: the best prompt. seed: nothing, to see what LoRA alone has "
        "learnt from the prompts.",
    )

    @field_validator("rollouts")
    @classmethod
    def _one_for_each_prompt(cls, rollouts: int, info: ValidationInfo) -> int:
        if rollouts < info.data.get("population", 1):
            raise PydanticCustomError("rollouts", "each prompt of the population needs one, raise it")
        return rollouts
