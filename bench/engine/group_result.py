"""Predictions and costs of one group of episodes: of a single task, or after each task of a sequence."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from bench.meters.stage import StageCost


@dataclass(frozen=True, kw_only=True)
class StageAnswers:
    """Answers after one support set of a sequence of tasks.

    Attributes:
        stage: Support sets that were learnt by then.
        from_base: Whether the last of them was learnt alone, by a fresh method.
        scores: ``[episode, item, way]`` for the queries of all tasks, on the CPU.
        labels: Labelled examples of the last support set, over all episodes.
        steps: Optimizer steps on it.
        tokens: Tokens of it that a language model read.
        seconds: Seconds of adapting to it.
        text_nll: ``[text]``, negative log-likelihood per token in nats; empty where the model stays as it is.
    """

    stage: int
    from_base: bool
    scores: Tensor
    labels: int = 0
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    text_nll: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GroupAnswers:
    """Predictions of one group of episodes.

    Attributes:
        scores: ``[episode, item, way]`` on the CPU, see Method.predict; empty for generated texts.
        texts: Generated texts; empty for scores.
        losses: Loss of each step, averaged over episodes.
        notes: Further facts from the method, as in JSON.
        stages: Answers after each support set of a sequence of tasks; empty for a single task.
    """

    scores: Tensor
    texts: list[str]
    losses: list[float]
    notes: dict[str, Any]
    stages: tuple[StageAnswers, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GroupResult(GroupAnswers):
    """Predictions and costs of one group of episodes.

    Attributes:
        adapt: Cost of the adapt stage, 0 for a method without a support set.
        query: Cost of the query stage.
        n_queries: Number of queries, padding left out.
        state_bytes: Bytes that must be kept to answer the next query.
        optimizer_bytes: Bytes that the optimizer keeps besides the parameters.
        trainable_params: Number of trained parameters.
        steps: Number of optimizer steps.
        tokens: Tokens of the support set that a language model read.
        step_seconds: Seconds of the longest optimizer step after the first.
        closing_seconds: Seconds from the end of the last step to the end of the adapt stage.
        adapt_flops: Operations of the adapt stage; 0 unless counted.
        step_flops: Operations of one optimizer step, without validations; 0 unless counted.
        query_flops: Operations of the query stage; 0 unless counted.
        validation_flops: Operations of one validation; 0 unless counted.
        validate_every: Steps between two validations; None without any.
    """

    adapt: StageCost
    query: StageCost
    n_queries: int
    state_bytes: int
    optimizer_bytes: int
    trainable_params: int
    steps: int
    tokens: int
    step_seconds: float
    closing_seconds: float
    adapt_flops: int
    step_flops: int
    query_flops: int
    validation_flops: int = 0
    validate_every: int | None = None

    def validations(self, steps: int) -> int:
        """Number of validations in a training: one after every ``validate_every`` steps, and one after the last."""
        return 0 if self.validate_every is None else -(-steps // self.validate_every)
