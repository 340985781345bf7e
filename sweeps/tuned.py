"""``bench run --tune-all``: the same number of trials, or seconds, for every method of a suite."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.contracts import BenchError
from bench.engine.trainer import DeviceOptions
from bench.results.run_texts import task_text
from bench.runs.executors import Executor
from bench.spec.best_config import Best
from bench.spec.run_spec import RunSpec
from bench.toolkit.trust import trusted
from sweeps.definition import SweepSpec
from sweeps.space import NothingToTuneError
from sweeps.study import Sweep
from sweeps.trials import TuningData
from sweeps.units import TrialOptions


@dataclass
class TuneAll:
    """Tuning of runs on their support data; runs that differ by seed or budget share a config.

    Attributes:
        seconds: No trial of a method starts after this time.
        data: Folder of local data sets.
        devices: Device of the trials.
        folder: Folder of the studies; a study that is there is not repeated.
        report: Receiver of a line about each study.
        executor: Evaluates the trials of one study after the other in other processes; None for this one.
    """

    seconds: float | None
    data: Path | None
    devices: DeviceOptions
    folder: Path
    report: Callable[[str], None]
    executor: Executor | None = None
    _found: dict[str, Best | None] = field(default_factory=dict, init=False)
    _loaded: tuple[tuple[str, ...], TuningData] | None = field(default=None, init=False)

    def __call__(self, runs: Sequence[tuple[RunSpec, int | None]]) -> list[RunSpec]:
        """Tune runs. A run with nothing to tune and a run with a failed study are returned unchanged.

        Args:
            runs: Runs with the number of trials of each; None for no tuning.

        Returns:
            The runs with their configs.
        """
        seeds: dict[str, int] = {}
        for spec, trials in runs:
            if trials is not None:
                seeds[_alike(spec)] = min(spec.seed, seeds.get(_alike(spec), spec.seed))
        tuned = []
        for spec, trials in sorted(runs, key=lambda one: one[0].shared()):
            if trials is None:
                tuned.append(spec)
                continue
            spec = self._tuned(spec, seeds[_alike(spec)], trials)
            reference = spec.reference()
            if reference is not None and spec.match is not None:
                reference = self._tuned(reference, seeds.get(_alike(reference), reference.seed), trials)
                changes = {"config": reference.config, "tuning": reference.tuning}
                spec = spec.model_copy(update={"match": spec.match.model_copy(update=changes)})
            tuned.append(spec)
        return tuned

    def _tuned(self, spec: RunSpec, seed: int, trials: int) -> RunSpec:
        limit = spec.budget.tuning_trials
        changes: dict[str, Any] = {"trials": min(trials, limit or trials), "seconds": self.seconds}
        if spec.shots == 0 or spec.tuning is not None:
            return spec
        sweep_spec = SweepSpec.of_run(spec.model_copy(update={"seed": seed}), **changes)
        key = sweep_spec.model_dump_json()
        if key not in self._found:
            self._found[key] = self._best(sweep_spec, spec)
        best = self._found[key]
        return spec if best is None else spec.model_copy(update={"config": best.config, "tuning": best.tuning})

    def _best(self, sweep_spec: SweepSpec, spec: RunSpec) -> Best | None:
        what = f"{spec.method} on {task_text(spec)}, {spec.shots} shots"
        if self.executor is not None:
            self.executor.start(self._options)  # again after a study that an error has ended
        try:
            sweep = Sweep(sweep_spec, self._tuning_data(sweep_spec, spec), self.folder, executor=self.executor)
            sweep.run()
            best = sweep.best()
        except NothingToTuneError:
            return None
        except BenchError as error:
            self.report(f"{what} stays untuned: {error}")
            return None
        self.report(f"{what}: {best.tuning.trials} trials in {best.tuning.seconds:.1f} s, {best.config}")
        return best

    def _tuning_data(self, sweep_spec: SweepSpec, spec: RunSpec) -> TuningData:
        """Support data and backbone of a sweep; one pair is kept in memory, as runs are sorted by both."""
        if self._loaded is None or self._loaded[0] != spec.shared():
            self._loaded = None
            self._loaded = spec.shared(), TuningData.of(sweep_spec, self.data, self._own_devices)
        return self._loaded[1]

    @cached_property
    def _options(self) -> TrialOptions:
        return TrialOptions(self.devices, self.data, trusted())

    @cached_property
    def _own_devices(self) -> DeviceOptions:
        """Device of this process, which encodes: a head node may have none of the kind of its workers."""
        executor = self.executor
        if executor is None or executor.name != "ray" or executor.device()[0] == "cpu":
            return self.devices
        return replace(self.devices, accelerator="cpu")


def _alike(spec: RunSpec) -> str:
    """Key of runs that share a config."""
    return spec.model_dump_json(exclude={"seed", "budget", "match", "tuning"})
