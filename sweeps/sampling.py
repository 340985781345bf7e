"""Samplers and pruners of studies, made from their definition."""

from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner
from optuna.samplers import BaseSampler, CmaEsSampler, GridSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from bench.contracts import GradientMethod, UsageError
from sweeps.definition import SweepSpec
from sweeps.space import Dimension
from sweeps.trials import RUNGS, Trials


class TrialSampler(BaseSampler):
    """Sampler whose random numbers depend on the number of a trial, and whose first trial is the default config.

    Of several processes that begin a study at once, no two draw the same configs, and a single one has the default.
    """

    def __init__(self, make: Callable[[int], BaseSampler], default: dict[str, Any] | None) -> None:
        """Wrap a kind of sampler.

        Args:
            make: Makes the sampler of a trial from its number.
            default: Value of each dimension in the first trial; None where that is like the others.
        """
        self.make, self.default = make, default
        self.sampler = make(0)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Make the sampler of a trial.

        Args:
            study: The study.
            trial: A trial that has just begun.
        """
        self.sampler = self.make(trial.number)
        self.sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Dimensions that are sampled together.

        Args:
            study: The study.
            trial: A trial that has just begun.

        Returns:
            Ranges by name; none of the first trial, which has fixed values.
        """
        return {} if self._fixed(trial) else self.sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values of the dimensions that are sampled together.

        Args:
            study: The study.
            trial: The trial.
            search_space: Their ranges.

        Returns:
            Values by name.
        """
        return {} if self._fixed(trial) else self.sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Value of a dimension that is not sampled together with others.

        Args:
            study: The study.
            trial: The trial.
            param_name: Name of the dimension.
            param_distribution: Its range.

        Returns:
            The value; the default for the first trial.
        """
        if self.default is not None and self._fixed(trial):
            return self.default[param_name]
        return self.sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Pass the end of a trial on to its sampler.

        Args:
            study: The study.
            trial: The trial.
            state: Its state.
            values: Its values.
        """
        # That of a grid would only stop the study by a count of its own.
        if not isinstance(self.sampler, GridSampler):
            self.sampler.after_trial(study, trial, state, values)

    def _fixed(self, trial: FrozenTrial) -> bool:
        return self.default is not None and _is_first(trial)


def _is_first(trial: FrozenTrial) -> bool:
    """Whether a trial is the first of its study, or repeats it because its process ended."""
    return int(trial.system_attrs.get("failed_trial", trial.number)) == 0


def sampler_of(spec: SweepSpec, space: list[Dimension], seed: int, workers: int) -> BaseSampler:
    """Make the sampler of a study.

    Args:
        spec: Definition of the study.
        space: Its dimensions.
        seed: Seed of the sampler.
        workers: Number of processes that share the study.

    Returns:
        The sampler.

    Raises:
        UsageError: If it cannot serve the space or the objectives.
    """
    seed %= 2**32
    if spec.sampler == "cmaes":
        if len(spec.objectives) > 1:
            raise UsageError("the sampler cmaes serves one objective; leave all but one out, or use tpe")
        if sum(dimension.numeric for dimension in space) < 2:
            raise UsageError(
                f"the sampler cmaes needs two ranges or more, the space of {spec.method} has fewer; use tpe"
            )
        return CmaEsSampler(seed=seed)
    if spec.sampler == "grid":
        return GridSampler(grid_of(space, spec.trials), seed=seed)
    return RandomSampler(seed=seed) if spec.sampler == "random" else TPESampler(seed=seed, constant_liar=workers > 1)


def grid_of(space: list[Dimension], trials: int) -> dict[str, list[Any]]:
    """Grid of all choices, and of as many points of each range as fit into a number of trials; at least two.

    Args:
        space: The dimensions.
        trials: Largest number of trials.

    Returns:
        Values by dimension.
    """
    chosen = 1
    for dimension in space:
        chosen *= 1 if dimension.numeric else len(dimension.grid(0))
    ranges = sum(dimension.numeric for dimension in space)
    points = 2
    while ranges and chosen * (points + 1) ** ranges <= trials:
        points += 1
    return {dimension.name: dimension.grid(points) for dimension in space}


def pruner_of(spec: SweepSpec, trials: Trials) -> BasePruner:
    """Hyperband for methods with steps; none for several objectives, which cannot be compared half-way.

    Args:
        spec: Definition of the study.
        trials: Its trials.

    Returns:
        The pruner.
    """
    if spec.pruner == "none" or len(spec.objectives) > 1 or not issubclass(trials.method, GradientMethod):
        return NopPruner()
    return HyperbandPruner(min_resource=RUNGS[0], max_resource=RUNGS[-1], reduction_factor=RUNGS[1])
