"""Trials: a config, adapted to support sets with some items held out, and scored on these.

A config with closed-form leave-one-out scores is not adapted at all.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from bench import registry
from bench.contracts import (
    CLASSIFICATION,
    Backbone,
    EpisodePredictions,
    GradientMethod,
    InputMode,
    LeaveOneOut,
    MethodConfig,
    UsageError,
)
from bench.contracts.errors import BenchWarning, NumericalError
from bench.data.batches import EpisodeGroup, EpisodeSource, episode_groups
from bench.data.class_embeddings import ClassEmbeddings, class_embeddings
from bench.data.episodes import Episodes, episode_spec
from bench.data.feature_cache import pool_cache
from bench.engine.adapt import AdaptOptions, adapt_and_answer
from bench.engine.encoding import encode_missing, free_device
from bench.engine.group_result import GroupResult
from bench.engine.trainer import DeviceOptions
from bench.results.scores import episodes_of, mean_score
from bench.spec.expand import expand, refusal
from bench.spec.resolve import ResolvedRun, resolve
from bench.spec.run_spec import RunSpec
from bench.spec.suite import Block
from sweeps.definition import ENOUGH_EPISODES, Objective, SweepSpec
from sweeps.space import NothingToTuneError, space_of
from sweeps.validation import SupportData, cross_validation, joined, repeated_splits, support_sets

Direction = Literal["minimize", "maximize"]
RUNGS = (1, 3, 9)
"""Ninths of its steps after which a gradient method's trial is compared with others and may be pruned; then all steps.
"""
Report = Callable[[int, float], None]
"""Receiver of the number of ninths of the steps and an intermediate score; raises an exception to prune the trial."""


@dataclass(frozen=True)
class TuningData:
    """A task's support data on a backbone, for any number of sweeps.

    Attributes:
        task: Name of the task.
        data: The support data.
        backbone: The backbone.
        devices: Device of the trials.
        data_folder: Folder of local data sets, for other processes that load the same data.
    """

    task: str
    data: SupportData
    backbone: Backbone
    devices: DeviceOptions
    data_folder: Path | None = None

    @classmethod
    def of(cls, spec: SweepSpec, data: Path | None, devices: DeviceOptions) -> "TuningData":
        """Load the data and the backbone of a sweep.

        Args:
            spec: Definition of the sweep.
            data: Folder of local data sets.
            devices: Device of the trials.

        Returns:
            The data.

        Raises:
            UsageError: For a wrong name or combination.
            DataError: If data or weights are missing.
        """
        name = run_spec(spec).backbone
        support = SupportData.load(registry.make_task(spec.task, spec.prompt, spec.template), data)
        return cls(spec.task, support, registry.make_backbone(name), devices, data)

    def embeddings(self, run: ResolvedRun) -> ClassEmbeddings:
        """Class embeddings of the task.

        Args:
            run: A run of the task.

        Returns:
            The embeddings, or the reason why there are none.
        """
        return class_embeddings(self.data.as_task(), run.task, self.backbone)

    def source(self, run: ResolvedRun, sets: Episodes, embeddings: ClassEmbeddings) -> EpisodeSource:
        """Encoded pools for the support sets; both pools are the support pool.

        Args:
            run: The run that is tuned.
            sets: Its support sets.
            embeddings: Class embeddings of its task.

        Returns:
            The source of batches.

        Raises:
            NothingToTuneError: If the method needs class embeddings and the task has none.
        """
        spec, task = run.spec, self.data.as_task()
        if (reason := embeddings.refusal(run)) is not None:
            raise NothingToTuneError(f"{spec.method} cannot be tuned on {spec.task}: {reason}")
        cache = pool_cache(self.backbone, self.data.revision, spec, "support", self.devices.device_kind())
        table = cache.load("support", len(self.data.pool.labels), _warn)
        if run.input_mode is InputMode.FEATURES:
            missing = table.missing(np.unique(sets.support))
            if len(missing):
                devices = self.devices.with_precision(spec.precision)
                encode_missing(self.backbone, self.data.pool, table, missing, cache, devices, _ignore, _ignore)
                free_device(self.backbone)
        return EpisodeSource(task, self.backbone, embeddings.of_run(run), table, table)


def _warn(message: str) -> None:
    warnings.warn(message, BenchWarning, stacklevel=3)


def _ignore(_: object) -> None:
    """No-op: progress of encoding is not shown in a sweep."""


def run_spec(spec: SweepSpec) -> RunSpec:
    """The run that a sweep tunes.

    Args:
        spec: Definition of the sweep.

    Returns:
        The run.

    Raises:
        UsageError: For a wrong name, field or combination.
        NothingToTuneError: If the method does not serve the task or has no support set.
    """
    fields = {"backbone": spec.backbone, "ways": spec.ways, "precision": spec.precision}
    block = Block(
        task=spec.task, prompt=spec.prompt, template=[spec.template], methods=[spec.method], shots=[spec.shots],
        seeds=[spec.seed], set={spec.method: spec.set}, **fields,  # type: ignore[arg-type]
    )  # fmt: skip
    (run,) = expand(block)
    if reason := refusal(run):
        raise NothingToTuneError(f"nothing to tune: {reason}")
    if run.shots == 0:
        raise NothingToTuneError(f"{spec.method} uses no support set, which tuning needs")
    return run.model_copy(update={"episodes": spec.episodes or min(ENOUGH_EPISODES, run.episodes)})


class Trials:
    """Evaluation of configs on held-out support items, by each objective.

    Attributes:
        spec: Definition of the sweep.
        run: The run that is tuned.
        resolved: The same, resolved.
        method: Class of the method.
        space: Dimensions of the search.
        sets: Support sets.
        validation: Way of holding items out: "leave_one_out" where the method has closed-form scores and there are two
            shots or more, else "cross_validation", or "splits" on request.
    """

    def __init__(self, spec: SweepSpec, tuning_data: TuningData) -> None:
        self.spec, self.tuning_data, self.run = spec, tuning_data, run_spec(spec)
        self.resolved = resolve(self.run)
        self.method = self.resolved.method
        fixed = {name: value for name, value in self.run.config.items() if name != "site"}
        self.space = space_of(spec.method, self.method.Config, fixed, spec.space)
        self.kind = self.resolved.task.kind
        self.metric = self.resolved.metric
        if "likelihood" in spec.objectives and self.kind not in CLASSIFICATION:
            raise UsageError(f"the objective likelihood needs classes; {spec.task} is {self.kind}: use score")
        self.sets = support_sets(tuning_data.data, episode_spec(self.run))
        self.embeddings = tuning_data.embeddings(self.resolved)
        self.source = tuning_data.source(self.resolved, self.sets, self.embeddings)
        self.validation = self._validation()

    def _validation(self) -> str:
        requested = self.spec.validation
        if requested in {"auto", "leave_one_out"} and self._left_out is not None:
            return "leave_one_out"
        if requested == "leave_one_out":
            raise UsageError(
                f"{self.spec.method} has no closed-form leave-one-out scores here; use --validation cross_validation"
            )
        return "cross_validation" if requested == "auto" else requested

    @cached_property
    def _left_out(self) -> LeaveOneOut[Any] | None:
        """Closed-form scores; None if the method has none for its config, or if each class has a single item."""
        if self.resolved.input_mode is not InputMode.FEATURES or self.run.shots == 1:
            return None
        group = self._group(self.sets)
        with torch.no_grad():
            found = self.method.leave_one_out(
                self.source.backbone, group.problem_shape(), group.support_part(slice(None))
            )
        if found is None or not found.mask.any() or not found.serves(self._whole_config()):
            return None
        return found

    def _whole_config(self) -> MethodConfig:
        """A config with a value for each field, as in a trial."""
        return self.config({each.name: each.grid(2)[0] for each in self.space})

    def config(self, varied: Mapping[str, Any]) -> MethodConfig:
        """The config of a trial.

        Args:
            varied: Values of the dimensions.

        Returns:
            The validated config.

        Raises:
            UsageError: If these values contradict the fixed ones.
        """
        return registry.resolve_method(self.spec.method, self.kind, {**self.spec.set, **varied}).config

    def default(self) -> dict[str, Any] | None:
        """Values of the trial that stands for the default config.

        A number outside of its range is the nearest end of it, and an N0 that is left open is the task's, so that a
        search knows what the method does without it.

        Returns:
            Value of each dimension; None where a default is no number or choice of the space, but a search of its own.
        """
        config, found = self.config({}), {}
        for dimension in self.space:
            value = getattr(config, dimension.name)
            if dimension.name == "prior_strength" and value is None:
                value = self.resolved.prior_strength
            found[dimension.name] = dimension.clamped(value)
            if not dimension.contains(found[dimension.name]):
                return None
        return found

    @cached_property
    def folds(self) -> list[Episodes]:
        """Support sets with the held-out items as queries."""
        make = repeated_splits if self.validation == "splits" else cross_validation
        found = make(self.sets, self.spec.folds)
        if not any(fold.query.size for fold in found):
            raise UsageError(f"no class of {self.spec.task} has two support items: nothing can be held out")
        return found

    def _group(self, episodes: Episodes, config: MethodConfig | None = None) -> EpisodeGroup:
        run = self.resolved if config is None else self.resolved.with_config(config)
        return EpisodeGroup(self.source, run, episodes)

    def values(self, config: MethodConfig, report: Report | None = None) -> list[float]:
        """Values of the objectives for a config.

        Args:
            config: The config.
            report: Receiver of intermediate scores, if trials are pruned.

        Returns:
            A value for each objective.

        Raises:
            UsageError: For a config whose run would be skipped, such as one with a prior where there is none.
            NumericalError: For an objective that is no number, which would be no trial of the study's.
        """
        if (reason := self.embeddings.refusal(self.resolved.with_config(config))) is not None:
            raise UsageError(reason)
        objectives: Sequence[Objective] = self.spec.objectives
        found: dict[str, float] = {}
        if {"score", "likelihood"} & set(objectives):
            found = (
                self._by_leaving_out(config) if self.validation == "leave_one_out" else self._by_folds(config, report)
            )
        if {"adapt_seconds", "peak_memory_mb"} & set(objectives):
            found |= self._costs(config)
        if odd := [name for name in objectives if math.isnan(found[name])]:
            raise NumericalError(f"objectives must be numbers, got NaN of {', '.join(odd)}")
        return [found[name] for name in objectives]

    def directions(self) -> list[Direction]:
        """Optuna's direction of each objective."""
        lower = {"adapt_seconds", "peak_memory_mb"}
        if not self.metric.higher_is_better:
            lower.add("score")
        return ["minimize" if name in lower else "maximize" for name in self.spec.objectives]

    def _by_leaving_out(self, config: MethodConfig) -> dict[str, float]:
        left_out = self._left_out
        assert left_out is not None
        with torch.no_grad():
            scores = left_out.scores(config)
        return self._objectives(
            [
                EpisodePredictions(scores=own[known].double().numpy(), labels=labels[known].numpy())
                for own, labels, known in zip(scores, left_out.labels, left_out.mask, strict=True)
                if known.any()
            ]
        )

    def _by_folds(self, config: MethodConfig, report: Report | None) -> dict[str, float]:
        """Scores over the episodes of all folds, adapted together; the first fold is compared with other trials.

        Each rung is trained from the start: a method with a limit of steps may do something after its last step.

        Returns:
            Values by objective.
        """
        if report is not None:
            for rung in RUNGS[:-1]:
                report(rung, self._scored(config, self.folds[0], rung)[self.spec.objectives[0]])
        return self._scored(config, joined(self.folds))

    def _scored(self, config: MethodConfig, episodes: Episodes, ninths: int = RUNGS[-1]) -> dict[str, float]:
        """Objectives after a number of ninths of the steps."""
        # All groups have the seed of the first episode, so that the order of folds changes no score.
        parts = [group.episodes for group in episode_groups(self.source, self.resolved, episodes)]
        groups = [self._group(part, config) for part in parts]
        results = [self._adapted(group, ninths) for group in groups]
        return self._objectives(episodes_of(results, groups))

    def _objectives(self, episodes: Sequence[EpisodePredictions]) -> dict[str, float]:
        """The task's metric over held-out items, and their likelihood where there are classes.

        Returns:
            Values by objective.

        Raises:
            NumericalError: If a prediction is not finite.
        """
        # Of classes of different size some episodes have no item in a fold.
        episodes = [episode for episode in episodes if len(episode.labels)]
        scores = [self.metric.episode_score(self.metric.query_values(episode)) for episode in episodes]
        found = {"score": mean_score(scores)}
        if self.kind in CLASSIFICATION:
            found["likelihood"] = _log_likelihood(episodes)
        return found

    def _adapted(self, group: EpisodeGroup, ninths: int = RUNGS[-1]) -> GroupResult:
        most = None
        if ninths < RUNGS[-1]:
            whole = group.run.make_method(self.source.backbone, group.problem_shape())
            most = max(1, whole.steps * ninths // RUNGS[-1]) if isinstance(whole, GradientMethod) else None
        devices = self.tuning_data.devices.with_precision(self.run.precision)
        return adapt_and_answer(group, devices, AdaptOptions(most))

    def _costs(self, config: MethodConfig) -> dict[str, float]:
        """Costs of one episode alone, with all items but those held out; the first repeat is a warm-up."""
        group = self._group(self.folds[0][:1], config)
        result = [self._adapted(group) for _ in range(2)][-1]
        peak = max(result.adapt.peak_memory_mb, result.query.peak_memory_mb)
        return {"adapt_seconds": result.adapt.seconds, "peak_memory_mb": peak}


def _log_likelihood(episodes: Sequence[EpisodePredictions]) -> float:
    """Mean log-probability of the right class over all queries."""
    likely = [
        torch.from_numpy(each.scores).log_softmax(dim=-1).gather(-1, torch.from_numpy(each.labels).unsqueeze(-1))
        for each in episodes
    ]
    return float(torch.cat(likely).mean())
