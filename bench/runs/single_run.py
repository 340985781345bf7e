"""One run: a worker process without query labels measures its costs and answers its queries; they are scored here."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.contracts import DataError, GradientMethod, InputMode, MethodConfig
from bench.costs.budget_fit import limits_of
from bench.costs.protocol import CostResult, cost_request, measure_costs
from bench.data.batches import EpisodeGroup, EpisodeSource, episode_groups
from bench.data.payload import payload_of
from bench.engine.adapt import GroupResult
from bench.engine.answer import AnswerRequest, answer_episodes
from bench.engine.trainer import DeviceOptions
from bench.engine.worker import Worker
from bench.results.predictions import QueryPredictions
from bench.results.record import Record
from bench.results.scores import score_run
from bench.runs.plan import PlannedRun
from bench.spec.budget import Budget, violations
from bench.spec.costs import Costs, StageCosts

CURVE_POINTS = 100
"""Points of a loss curve that a record keeps."""


@dataclass
class SingleRun:
    """One run in progress.

    Attributes:
        planned: The run and its episodes.
        source: Encoded pools of the task.
        devices: Device and precision.
        worker: Where costs are measured and queries are answered.
        budget: All limits of the run.
        encode: Cost of encoding one episode.
        encode_wall_seconds: Seconds that encoding took for the run's whole group.
        provenance: Where and how the record is made.
        costs: Measured costs, as soon as they are known; an interrupted run keeps them.
    """

    planned: PlannedRun
    source: EpisodeSource
    devices: DeviceOptions
    worker: Worker
    budget: Budget
    encode: StageCosts
    encode_wall_seconds: float
    provenance: dict[str, Any]
    costs: Costs | None = field(default=None, init=False)

    def run(self) -> tuple[Record, QueryPredictions | None]:
        """Measure the costs and, within the budget, the score.

        Returns:
            The record, and the predictions of all queries; None for a run over its budget.

        Raises:
            DataError: For a method that trains and an empty support set.
            Exception: Whatever the method raises.
        """
        planned = self.planned
        if issubclass(planned.run.method, GradientMethod) and planned.episodes.support.shape[1] == 0:
            raise DataError(
                f"{planned.spec.method} trains on examples and got an empty support set; use --shots 1 or more"
            )
        measured = self._measure()
        if measured.violations:
            return self._over_budget(measured), None
        results, groups = self._results(measured)
        scored = score_run(planned.run.metric, results, groups)
        record = self._record(
            status="ok",
            metric=scored.metric,
            value=scored.score.value,
            ci95=scored.score.ci95,
            episode_scores=scored.episode_scores,
            n_queries=len(scored.predictions),
            notes=_merged([result.notes for result in results])
            | scored.notes
            | _fitted(planned.run.config, measured.config)
            | _loss_curve(results[0].losses),
        )
        return record, scored.predictions

    def _record(self, **result: Any) -> Record:
        limits = self.budget.limits()
        return self.planned.record(costs=self.costs, limits=limits, provenance=self.provenance, **result)

    def _over_budget(self, measured: CostResult) -> Record:
        return self._record(
            status="over_budget",
            reason="; ".join(map(str, measured.violations)),
            violations={violation.axis: violation.measured for violation in measured.violations},
        )

    def _measure(self) -> CostResult:
        """Costs of the first episode, measured by the worker; they are kept in ``costs``."""
        run = self.planned.run
        request = cost_request(
            run, self.source, self.planned.episodes, self.budget, self.encode, self.devices, self.worker
        )
        measured = measure_costs(self.worker, request)
        if measured.costs is None:
            return measured
        wall = self.encode_wall_seconds if run.input_mode is InputMode.FEATURES else 0.0
        changes: dict[str, Any] = {"process": self.worker.process, "encode_wall_seconds": wall}
        if tuning := run.spec.tuning:
            changes |= {"tuning_trials": tuning.trials, "tuning_seconds": tuning.seconds}
        self.costs = measured.costs.model_copy(update=changes)
        # The number of tuning trials is known here alone.
        over = [each for each in violations(self.budget, self.costs) if each.axis == "tuning_trials"]
        return replace(measured, violations=(*measured.violations, *over))

    def _results(self, measured: CostResult) -> tuple[list[GroupResult], list[EpisodeGroup]]:
        """Predictions of all episodes, each with as many steps as the measured one, made by the worker."""
        run, episodes, limits = (
            self.planned.run.with_config(measured.config),
            self.planned.episodes,
            limits_of(self.budget),
        )
        groups = episode_groups(self.source, run, episodes, limits)
        if len(episodes) == 1 and measured.result is not None and self.devices.devices == 1:
            return [measured.result], groups  # the only episode is the measured one
        payload = payload_of(self.source, episodes)
        request = AnswerRequest(run, payload, limits, measured.most_steps, self.devices)
        results: list[GroupResult] = self.worker.call(answer_episodes, request)
        return results, groups


def _fitted(requested: MethodConfig, fitted: MethodConfig) -> dict[str, Any]:
    """Config fields that were changed to keep the budget."""
    return {f"fitted_{name}": value for name, value in fitted if value != getattr(requested, name)}


def _loss_curve(losses: Sequence[float]) -> dict[str, Any]:
    """Steps and losses of the first group of episodes, evenly thinned; empty for methods without steps."""
    if not losses:
        return {}
    steps = sorted({round(place * (len(losses) - 1) / (CURVE_POINTS - 1)) for place in range(CURVE_POINTS)})
    return {"loss_curve": [[step + 1, losses[step]] for step in steps]}


def _merged(notes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Notes of all groups: one value where they agree, a list where they differ."""
    merged = {}
    for key in sorted({key for note in notes for key in note}):
        values = [note.get(key) for note in notes]
        merged[key] = values[0] if all(value == values[0] for value in values) else values
    return merged
