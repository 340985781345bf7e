"""Lightning callback that holds an episode to its budget while it runs."""

from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import Callback

from bench.contracts import GradientMethod
from bench.meters.stage import StageMeter
from bench.meters.tokens import TokenMeter
from bench.spec.budget import Budget, OverBudgetError, Violation

GRACE = 1.0
"""Seconds past a time limit after which a run that cannot stop early is ended.

The repeats are measured against the limit itself.
"""


class BudgetCallback(Callback):
    """Stops training at most one step past the limit; raises OverBudgetError for methods that cannot stop early.

    The Lightning module must be an Adaptation: its stage meters and its method are read.

    Attributes:
        step_seconds: Seconds of the longest step after the first, which may include preparation; 0 until there is one.
        seconds: Seconds of the adapt stage at the end of the last step.
    """

    def __init__(self, budget: Budget, tokens: TokenMeter, n_queries: int, closing_seconds: float = 0.0) -> None:
        """Prepare the callback.

        Args:
            budget: The limits.
            tokens: Meter of the tokens that the language model reads.
            n_queries: Number of queries, by which the limit per query is multiplied.
            closing_seconds: Seconds that the method needs after its last step.
        """
        self.budget, self.tokens, self.n_queries, self.closing_seconds = budget, tokens, n_queries, closing_seconds
        self.step_seconds = self.seconds = 0.0
        self._tokens = 0

    def on_train_batch_end(self, trainer: Trainer, module: Any, *_: Any) -> None:
        """Check the limits after an optimizer step, or after a batch of observed examples.

        Raises:
            OverBudgetError: If a method that cannot stop early exceeds a limit.
        """
        # Reading the clock waits for the device, so that a run without a limit of time goes on as one without a budget.
        seconds = module.adapting.elapsed() if self.budget.adapt_seconds is not None else 0.0
        tokens = self.tokens.count
        if trainer.global_step > 1:
            self.step_seconds = max(self.step_seconds, seconds - self.seconds)
        next_tokens = tokens + (tokens - self._tokens)
        self.seconds, self._tokens = seconds, tokens
        self._require_memory(module.adapting)
        if isinstance(module.method, GradientMethod):
            # The next step is taken only if it would end in time at the longest duration of a step so far.
            late = self._beyond("adapt_seconds", seconds + self.step_seconds + self.closing_seconds)
            trainer.should_stop = trainer.should_stop or late or self._beyond("tokens", next_tokens)
            return
        self._require("adapt_seconds", seconds, GRACE)
        self._require("tokens", tokens)

    def on_predict_batch_end(self, trainer: Trainer, module: Any, *_: Any) -> None:
        """Check the limits after a batch of queries.

        Raises:
            OverBudgetError: If a limit is exceeded.
        """
        if self.budget.query_milliseconds is not None:
            per_query = 1000 / self.n_queries  # seconds of the stage to milliseconds of one query
            self._require("query_milliseconds", per_query * module.answering.elapsed(), per_query * GRACE)
        self._require_memory(module.answering)

    def _require_memory(self, stage: StageMeter) -> None:
        # Without a limit the meter is not read, since each reading takes time.
        if self.budget.peak_memory_mb:
            self._require("peak_memory_mb", stage.memory.peak())

    def _beyond(self, axis: str, measured: float) -> bool:
        limit = getattr(self.budget, axis)
        return limit is not None and measured > limit

    def _require(self, axis: str, measured: float, grace: float = 0.0) -> None:
        if self._beyond(axis, measured - grace):
            raise OverBudgetError(Violation(axis, getattr(self.budget, axis), measured))
