"""One run, measured: costs from an episode alone in a process of its own, scores from all episodes together."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench import registry
from bench.contracts import AnyMethod, DataError, GradientMethod, InputMode
from bench.costs.budget_fit import limits_of
from bench.costs.payload import alone
from bench.costs.protocol import CostRequest, CostResult, episode_costs
from bench.costs.worker import Worker
from bench.data.batches import EpisodeGroup, EpisodeSource, episodes_at_once
from bench.data.episodes import name_seed
from bench.engine.adapt import AdaptOptions, GroupResult, adapt_and_answer
from bench.engine.trainer import DeviceOptions
from bench.results.predictions import QueryPredictions
from bench.results.record import Record
from bench.runs.plan import Job
from bench.runs.scoring import judge
from bench.spec.budget import Budget, violations
from bench.spec.costs import Costs, StageCosts


@dataclass
class Measurement:
    """A run under way; what it has found out so far is there whatever ends it."""

    job: Job
    source: EpisodeSource
    devices: DeviceOptions
    isolation: Worker
    budget: Budget
    encode: StageCosts
    encode_wall_seconds: float
    provenance: dict[str, Any]
    costs: Costs | None = field(default=None, init=False)

    def _seed(self, start: int) -> int:
        spec = self.job.spec
        return name_seed(spec.task, spec.ways, spec.seed, "method", start)

    def run(self) -> tuple[Record, QueryPredictions | None]:
        """Measure the costs, and the score if they are within the budget: the record, and what became of each query.

        Raises whatever the method raises.
        """
        job = self.job
        if issubclass(job.method, GradientMethod) and job.episodes.support.shape[1] == 0:
            raise DataError(
                f"{job.spec.method} learns from examples and got an empty support set; use --shots 1 or more"
            )
        measured = self._measured_costs()
        if measured.violations:
            beyond = self._record(
                status="over_budget",
                reason="; ".join(map(str, measured.violations)),
                violations={violation.axis: violation.measured for violation in measured.violations},
            )
            return beyond, None
        outcomes, groups = self._outcomes(measured)
        judged = judge(self.source.task.kind, outcomes, groups)
        record = self._record(
            status="ok",
            metric=judged.metric,
            value=judged.score.value,
            ci95=judged.score.ci95,
            episode_scores=judged.episode_scores,
            n_queries=len(judged.outcomes),
            notes=_merged([outcome.notes for outcome in outcomes])
            | judged.notes
            | _fitted(job, measured)
            | _curve(outcomes[0].losses),
        )
        return record, judged.outcomes

    def _record(self, **result: Any) -> Record:
        limits = self.budget.limits()
        return self.job.record(costs=self.costs, limits=limits, provenance=self.provenance, **result)

    def _measured_costs(self) -> CostResult:
        job = self.job
        payload, episodes = alone(self.source, job.episodes)
        config = registry.method_config(job.spec.method, job.spec.config)
        request = CostRequest(
            job.spec.method, config, payload, episodes, job.reads, self.source.prior_strength, self._seed(0),
            self.budget, self.encode, self.devices,
        )  # fmt: skip
        measured: CostResult = self.isolation.call(episode_costs, request)
        if measured.costs is not None:
            wall = self.encode_wall_seconds if job.reads is InputMode.FEATURES else 0.0
            changes: dict[str, Any] = {"process": self.isolation.process, "encode_wall_seconds": wall}
            if tuning := job.spec.tuning:
                changes |= {"tuning_trials": tuning.trials, "tuning_seconds": tuning.seconds}
            self.costs = measured.costs.model_copy(update=changes)
            # Only here is it known how the config was found.
            over = [violation for violation in violations(self.budget, self.costs) if violation.axis == "tuning_trials"]
            measured = replace(measured, violations=(*measured.violations, *over))
        return measured

    def _outcomes(self, measured: CostResult) -> tuple[list[GroupResult], list[EpisodeGroup]]:
        """All episodes, as many at once as there is room for, with as many steps as one took alone."""
        job, plan = self.job, AdaptOptions(measured.most_steps)
        limits = limits_of(self.budget)

        def make(group: EpisodeGroup) -> AnyMethod:
            return job.method(measured.config, self.source.backbone, group.problem_shape())  # type: ignore[return-value]

        size = episodes_at_once(job.method, job.reads, self.source, job.episodes.support.shape[1])

        def group(start: int) -> EpisodeGroup:
            episodes = job.episodes[start : start + size]
            return EpisodeGroup(self.source, episodes, job.reads, self.source.prior_strength, self._seed(start), limits)

        groups = [group(start) for start in range(0, len(job.episodes), size)]
        if len(job.episodes) == 1 and measured.outcome is not None and self.devices.devices == 1:
            return [measured.outcome], groups  # it is the one that was measured
        return [adapt_and_answer(make, group, self.devices, plan) for group in groups], groups


def _fitted(job: Job, measured: CostResult) -> dict[str, Any]:
    """What of the config was changed to keep to the budget."""
    asked = registry.method_config(job.spec.method, job.spec.config)
    return {f"fitted_{name}": value for name, value in measured.config if value != getattr(asked, name)}


CURVE_POINTS = 100
"""Points of a loss curve that a record keeps."""


def _curve(losses: Sequence[float]) -> dict[str, Any]:
    """Steps and losses of the first group of episodes, evenly thinned out; nothing for who takes no steps."""
    if not losses:
        return {}
    steps = sorted({round(place * (len(losses) - 1) / (CURVE_POINTS - 1)) for place in range(CURVE_POINTS)})
    return {"loss_curve": [[step + 1, losses[step]] for step in steps]}


def _merged(notes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One value where all outcomes agree, a list of all where they do not."""
    merged = {}
    for key in sorted({key for note in notes for key in note}):
        values = [note.get(key) for note in notes]
        merged[key] = values[0] if all(value == values[0] for value in values) else values
    return merged
