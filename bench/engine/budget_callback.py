"""BudgetCallback one episode to its budget while it runs; a callback of Lightning's Trainer."""

from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import Callback

from bench.contracts import GradientMethod
from bench.meters.stage import StageMeter
from bench.meters.tokens import TokenMeter
from bench.spec.budget import Budget, OverBudgetError, Violation

GRACE = 1.0
"""Seconds past its limit after which what cannot be cut short is ended; the repeats tell whether it kept to it."""


class BudgetCallback(Callback):
    """Ends training before its limit is passed by more than a step; ends a run for good where it cannot be cut short.

    The module needs the stage meters ``adapting`` and ``answering``, and ``method``. n_queries: queries that the limit
    per query is multiplied by. closing_seconds: time that the method will need after its last step. step_seconds: the
    longest step but the first, which may prepare; 0 until there is one. seconds: when the last step ended.
    """

    def __init__(self, budget: Budget, tokens: TokenMeter, n_queries: int, closing_seconds: float = 0.0) -> None:
        self.budget, self.tokens, self.n_queries, self.closing_seconds = budget, tokens, n_queries, closing_seconds
        self.step_seconds = self.seconds = 0.0
        self._tokens = 0

    def on_train_batch_end(self, trainer: Trainer, module: Any, *_: Any) -> None:
        """After a step, or a batch of observed examples."""
        seconds, tokens = module.adapting.elapsed(), self.tokens.count
        if trainer.global_step > 1:
            self.step_seconds = max(self.step_seconds, seconds - self.seconds)
        next_tokens = tokens + (tokens - self._tokens)
        self.seconds, self._tokens = seconds, tokens
        self._require_memory(module.adapting)
        if isinstance(module.method, GradientMethod):
            # The next step is taken only if it should end in time, as the last one would have.
            late = self._beyond("adapt_seconds", seconds + self.step_seconds + self.closing_seconds)
            trainer.should_stop = trainer.should_stop or late or self._beyond("tokens", next_tokens)
            return
        self._require("adapt_seconds", seconds, GRACE)
        self._require("tokens", tokens)

    def on_predict_batch_end(self, trainer: Trainer, module: Any, *_: Any) -> None:
        """After a batch of queries."""
        each = 1000 / self.n_queries
        self._require("query_milliseconds", each * module.answering.elapsed(), each * GRACE)
        self._require_memory(module.answering)

    def _require_memory(self, stage: StageMeter) -> None:
        # Asking the meter takes time, at every step.
        if self.budget.peak_memory_mb:
            self._require("peak_memory_mb", stage.memory.peak())

    def _beyond(self, axis: str, measured: float) -> bool:
        limit = getattr(self.budget, axis)
        return limit is not None and measured > limit

    def _require(self, axis: str, measured: float, grace: float = 0.0) -> None:
        if self._beyond(axis, measured - grace):
            raise OverBudgetError(Violation(axis, getattr(self.budget, axis), measured))
