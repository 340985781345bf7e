"""One run: a worker process without query labels measures its costs and answers its queries; they are scored here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.contracts import DataError, GradientMethod, InputMode, LanguageBackbone, MethodConfig
from bench.costs.budget_fit import limits_of
from bench.costs.host_lock import alone, beside_others
from bench.costs.protocol import CostResult, cost_request, measure_costs
from bench.data.batches import EpisodeGroup, EpisodeSource, episode_groups
from bench.data.payload import payload_of
from bench.engine.answer import AnswerRequest, RunAnswers, answer_episodes
from bench.engine.group_result import GroupAnswers
from bench.engine.partial import PartialFile, partial_key
from bench.engine.share import share_file
from bench.engine.trainer import DeviceOptions
from bench.engine.worker import Worker
from bench.results.predictions import QueryPredictions
from bench.results.record import Record
from bench.results.run_texts import run_text, shots_text
from bench.results.scores import score_run
from bench.results.stages import of_own_classes, stage_records
from bench.runs.generic_texts import generic_texts
from bench.runs.plan import PlannedRun
from bench.runs.reporter import Reporter
from bench.runs.shared_costs import FITTED, SharedCosts
from bench.spec.budget import Budget, violations
from bench.spec.costs import Costs, StageCosts

Result = tuple[Record, QueryPredictions | None]
"""The record of a run and its predictions, if any."""
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
        encode: Measures the cost of encoding one episode, where it is not known.
        shared: Costs that were measured for other runs.
        stored: Whether costs of the store's records may be taken.
        notify: Called with a message while another process measures.
        quiet: Waits until nothing else of this program runs, before costs are measured.
        encode_wall_seconds: Seconds that encoding took for the run's whole group.
        notes: Facts of the record that are known before the run.
        provenance: Where and how the record is made.
        partial: File of the predictions of an unfinished run.
        resume: Whether to go on from that file.
        reporter: Receives progress within the run.
        costs: Measured costs, as soon as they are known; an interrupted run keeps them.
    """

    planned: PlannedRun
    source: EpisodeSource
    devices: DeviceOptions
    worker: Worker
    budget: Budget
    encode: Callable[[], StageCosts]
    shared: SharedCosts
    stored: bool
    notify: Callable[[str], None]
    quiet: Callable[[], None]
    encode_wall_seconds: float
    notes: dict[str, Any]
    provenance: dict[str, Any]
    partial: Path
    resume: bool
    reporter: Reporter = field(default_factory=Reporter)
    costs: Costs | None = field(default=None, init=False)

    def answered(self) -> Callable[[], Result]:
        """Measure the costs and, within the budget, answer the queries.

        Returns:
            A function that scores the answers, and gives the record and the predictions of all queries; None for a run
            over its budget.

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
            return lambda: (self._over_budget(measured), None)
        answers, groups = self._results(measured)
        return partial(self._scored, measured, answers, groups)

    def _scored(
        self, measured: CostResult, answers: Sequence[GroupAnswers], groups: list[EpisodeGroup]
    ) -> tuple[Record, QueryPredictions]:
        planned, results = self.planned, of_own_classes(answers, groups)
        scored = score_run(planned.run.metric, results, groups)
        record = self._record(
            status="ok",
            metric=scored.metric,
            value=scored.score.value,
            ci_low=scored.score.interval.low if scored.score.interval else None,
            ci_high=scored.score.interval.high if scored.score.interval else None,
            shared_draws=planned.run.method.shares_draws(planned.run.config),
            episode_scores=scored.episode_scores,
            n_queries=len(scored.predictions),
            stages=stage_records(planned.run.metric, results, groups),
            notes=self.notes
            | _merged([result.notes for result in results])
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

    def remeasure(self, record: Record) -> Record:
        """Measure the costs of a recorded run without limits again.

        Args:
            record: The record.

        Returns:
            The record with new costs; score and predictions stay.
        """
        self._measure()
        again = {"remeasured": self.provenance["finished"]}
        return record.model_copy(update={"costs": self.costs, "provenance": record.provenance | again})

    def _measure(self) -> CostResult:
        """Costs of the first episode, shared or measured by the worker; they are kept in ``costs``."""
        run, place = self.planned.run, (self.devices.device_name(), self.worker.process)
        measured = self.shared.find(self.planned, self.budget, *place, self.stored)
        if measured is None:
            measured = self._measure_alone()
            self.shared.add(self.planned, self.budget, *place, measured)
        if measured.costs is None:
            return measured
        tuning = run.spec.tuning
        self.costs = measured.costs.model_copy(
            update={
                "encode_wall_seconds": self.encode_wall_seconds if run.input_mode is InputMode.FEATURES else 0.0,
                "tuning_trials": tuning.trials if tuning else 0,
                "tuning_seconds": tuning.seconds if tuning else 0.0,
            }
        )
        # The number of tuning trials is known here alone.
        over = [each for each in violations(self.budget, self.costs) if each.axis == "tuning_trials"]
        return replace(measured, violations=(*measured.violations, *over))

    def _measure_alone(self) -> CostResult:
        """Costs measured by the worker while no other process measures on the device."""
        self.quiet()
        spec, encode = self.planned.spec, self.encode()
        with alone(self.devices.device_id(), f"{spec.task} {spec.method} {shots_text(spec.shots)}", self.notify):
            request = cost_request(
                self.planned.run, self.source, self.planned.episodes, self.budget, encode, self.devices, self.worker
            )
            with self.reporter.within(f"{run_text(spec)}: measuring costs"):
                measured = measure_costs(self.worker, request)
        costs = measured.costs and measured.costs.model_copy(update={"process": self.worker.process})
        return replace(measured, costs=costs)

    def _results(self, measured: CostResult) -> tuple[Sequence[GroupAnswers], list[EpisodeGroup]]:
        """Predictions of all episodes, each with as many steps as the measured one, made by the worker."""
        run, episodes, limits = (
            self.planned.run.with_config(measured.config),
            self.planned.episodes,
            limits_of(self.budget),
        )
        groups = episode_groups(self.source, run, episodes, limits)
        in_stages = bool(episodes.stages)
        if len(episodes) == 1 and measured.result is not None and not in_stages:
            return [measured.result], groups  # the only episode is the measured one
        payload = payload_of(self.source, episodes, run.input_mode)
        texts = self._generic_texts() if in_stages else ()
        partial = None if in_stages else self._partial_file(measured, groups)
        what = f"the answers of {run.spec.task} {run.spec.method} {shots_text(run.spec.shots)}"
        with (
            beside_others(self.devices.device_id(), what, self.notify),
            share_file() as share,
            self.reporter.within(f"{run_text(run.spec)}: answering", share.read if share else None),
        ):
            checked = self._is_checked(measured)
            request = AnswerRequest(
                run, payload, limits, measured.most_steps, self.devices, partial, texts, share, checked
            )
            answers: RunAnswers = self.worker.call(answer_episodes, request)
        if checked:
            self.shared.kept_frozen.add(self.planned.id)
        if answers.problem:
            self.notify(answers.problem)
        if answers.resumed:
            number = sum(map(len, groups[: answers.resumed]))
            self.provenance = self.provenance | {"resumed_episodes": number}
            self.notify(f"{number} of {len(episodes)} episodes were answered before an interrupt, and are taken up")
        return answers.groups, groups

    def _is_checked(self, measured: CostResult) -> bool:
        """Whether the method is required to leave the backbone as it was.

        Returns:
            False in a process of its own for a method that reads features, after the run that its costs were measured
            for: reading all weights takes longer than answering.
        """
        if self.worker.process == "same" or self.planned.run.input_mode is not InputMode.FEATURES:
            return True
        return measured.costs is None or measured.costs.measured_for not in self.shared.kept_frozen

    def _generic_texts(self) -> tuple[str, ...]:
        """Texts by which an adapted language model is measured, with a note of their source."""
        if not isinstance(self.source.backbone, LanguageBackbone):
            return ()
        found = generic_texts()
        self.notes = self.notes | {"generic_texts": found.source}
        return found.texts

    def _partial_file(self, measured: CostResult, groups: Sequence[EpisodeGroup]) -> PartialFile | None:
        """File of predictions while the run is unfinished; none for a single group."""
        if len(groups) == 1:
            return None
        key = partial_key(
            self.planned.id,
            self.devices.device_name(),
            measured.config.model_dump_json(),
            measured.most_steps,
            self.budget.limits(),
            [group.start for group in groups],
        )
        if not self.resume:
            self.partial.unlink(missing_ok=True)
        return PartialFile(self.partial, key)


def _fitted(requested: MethodConfig, fitted: MethodConfig) -> dict[str, Any]:
    """Config fields that were changed to keep the budget."""
    return {f"{FITTED}{name}": value for name, value in fitted if value != getattr(requested, name)}


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
