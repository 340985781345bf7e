"""Trials as units of work of an executor: a config, or one rung of its steps, evaluated in another process."""

import uuid
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.contracts import MethodConfig
from bench.contracts.errors import one_line_error
from bench.engine.trainer import DeviceOptions
from bench.meters.memory import LoadedObjects
from bench.toolkit.trust import trusting
from bench.toolkit.work_lock import work_for
from sweeps.definition import SweepSpec
from sweeps.trials import Trials, TuningData, run_spec


@dataclass(frozen=True)
class TrialUnit:
    """A trial, or one of its rungs.

    Attributes:
        id: Number of the trial and of the rung.
        spec: Definition of the study.
        varied: Values of the dimensions.
        ninths: Ninths of the steps to take on the first fold; None for the values of the objectives.
    """

    id: str
    spec: SweepSpec
    varied: Mapping[str, Any]
    ninths: int | None = None

    def kept(self) -> Hashable:
        """The study, whose data, backbone and folds are loaded; see Work."""
        return self.spec.model_dump_json()


@dataclass(frozen=True)
class TrialResult:
    """What a worker sends back.

    Attributes:
        values: Values of the objectives, or the intermediate score of a rung alone.
        reason: Why the trial failed; empty where it did not.
    """

    values: tuple[float, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class TrialOptions:
    """What all trials share, those of several studies too.

    Attributes:
        devices: Device of the trials.
        data: Folder of local data sets; None for the task's own source.
        trust: Load weights from files that run code when they are loaded.
        call: Name of the call, for workers that wait for each other.
    """

    devices: DeviceOptions
    data: Path | None = None
    trust: bool = False
    call: str = field(default_factory=lambda: uuid.uuid4().hex)

    def runner(self) -> "TrialRunner":
        """What evaluates trials; see WorkOptions."""
        work_for(self.call)
        return TrialRunner(self)


class TrialRunner:
    """Evaluates trials one after the other in this process.

    Attributes:
        options: What they share.
    """

    def __init__(self, options: TrialOptions) -> None:
        self.options = options
        self._trials: _RungTrials | None = None
        self._loaded: tuple[object, TuningData] | None = None
        self._objects = LoadedObjects()

    def execute(self, unit: TrialUnit) -> TrialResult:
        """Evaluate a trial or a rung.

        Args:
            unit: The unit.

        Returns:
            Its values, or why it failed.

        Raises:
            UsageError: If the study cannot be run here.
            DataError: If data or weights are missing here.
        """
        with trusting(self.options.trust):
            trials = self._trials_of(unit.spec)
            self._objects.skip()
            try:
                config = trials.config(unit.varied)
                values = trials.values(config) if unit.ninths is None else [trials.rung(config, unit.ninths)]
            except Exception as error:  # a trial that fails is a failed trial
                return TrialResult(reason=one_line_error(error))
        return TrialResult(tuple(values))

    def _trials_of(self, spec: SweepSpec) -> "_RungTrials":
        """The trials of a study; data and backbone of the last one where they are the same."""
        if self._trials is None or self._trials.spec != spec:
            self._trials, key = None, run_spec(spec).shared()
            self._objects.release()
            if self._loaded is None or self._loaded[0] != key:
                self._loaded = None
                self._loaded = key, TuningData.of(spec, self.options.data, self.options.devices)
            self._trials = _RungTrials(spec, self._loaded[1])
        return self._trials

    def close(self) -> None:
        """Release data and backbone."""
        self._trials = self._loaded = None
        self._objects.release()


class _RungTrials(Trials):
    """Trials whose rungs are evaluated one by one."""

    def rung(self, config: MethodConfig, ninths: int) -> float:
        """The first objective on the first fold, after a number of ninths of the steps."""
        return self._scored(config, self.folds[0], ninths)[self.spec.objectives[0]]
