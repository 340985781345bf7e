"""Resolved runs: names looked up and configs validated once, before anything runs."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from bench import registry
from bench.contracts.sequence import is_sequence
from bench.contracts.site import Site, name_at_site
from bench.spec.aliases import stream_name
from bench.spec.run_spec import RunSpec
from bench.toolkit.seeds import name_seed

if TYPE_CHECKING:
    from bench.contracts import AnyMethod, Backbone, InputMode, Method, MethodConfig, Metric, ProblemShape, Task


@dataclass(frozen=True)
class ResolvedRun:
    """One run with its plugins looked up and its config validated; it is passed from the plan to the worker process.

    Attributes:
        spec: The run by names, as the user wrote it.
        task: The task in the run's prompt style, without its data.
        metric: The metric of the score.
        method: The method's class.
        site: Site of the method; None if it has no choice of sites.
        config: The method's validated config.
        input_mode: Form of the items that the method reads: cached features or the raw input.
        prior_strength: N0, the number of labelled examples that the zero-shot prior counts for, unless ``config`` has a
            value of its own: the task's value, or the backbone's.
    """

    spec: RunSpec
    task: "Task"
    metric: "Metric"
    method: "type[Method]"
    site: Site | None
    config: "MethodConfig"
    input_mode: "InputMode"
    prior_strength: float

    @property
    def method_at_site(self) -> str:
        """Name of the method's class: ``NAME``, or ``NAME@SITE`` where the method has a choice of sites."""
        return self.spec.method if self.site is None else f"{self.spec.method}@{self.site}"

    def seed(self, start: int = 0) -> int:
        """Seed of a method instance, equal for all methods.

        Args:
            start: Number of the first episode of the instance.

        Returns:
            A 63-bit seed.
        """
        return name_seed(stream_name(self.spec.task), self.spec.ways, self.spec.seed, "method", start)

    def with_config(self, config: "MethodConfig") -> "ResolvedRun":
        """The same run with another config, for example one that was fitted to a budget.

        Args:
            config: The config.

        Returns:
            A copy.
        """
        return replace(self, config=config)

    def make_method(self, backbone: "Backbone", shape: "ProblemShape") -> "AnyMethod":
        """A fresh instance of the method.

        Args:
            backbone: The frozen backbone.
            shape: Sizes, seed and limits of the problem.

        Returns:
            The method, not adapted yet.
        """
        return cast("AnyMethod", self.method(self.config, backbone, shape))


def resolve(spec: RunSpec) -> ResolvedRun:
    """Look up the names of a run and validate its config.

    Args:
        spec: The run, by name.

    Returns:
        The resolved run.

    Raises:
        UsageError: For an unknown name or field, with the closest known one.
    """
    task = registry.make_task(*spec.form())
    chosen = registry.resolve_method(spec.method, task.kind, spec.config)
    method = chosen.method
    if is_sequence(spec.task):
        # One that cannot go on is refused before it runs.
        method = registry.continual_class(name_at_site(chosen.name, chosen.settings), method) or method
    own, backbone = task.prior_strength, registry.backbone_class(spec.backbone)
    return ResolvedRun(
        spec=spec,
        task=task,
        metric=registry.metric_of(task),
        method=method,
        site=chosen.site,
        config=chosen.config,
        input_mode=method.input_mode_for(task.kind, backbone),
        prior_strength=backbone.prior_strength if own is None else own,
    )
