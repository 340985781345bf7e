"""``bench run --tune-all``: the same number of trials, or seconds, for every method of a suite."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.contracts import BenchError
from bench.engine.trainer import DeviceOptions
from bench.results.grouping import task_text
from bench.spec.best_config import Best
from bench.spec.suite import RunSpec
from sweeps.definition import SweepSpec
from sweeps.space import NothingToTuneError
from sweeps.study import Sweep
from sweeps.trials import TuningData


@dataclass
class TuneAll:
    """Tunes runs on their support data; runs that differ by seed or budget share a config.

    seconds: after which no trial of a method is begun. folder: where studies are kept, so that what was tuned once is
    not tuned again. tell: is told what comes of each.
    """

    seconds: float | None
    data: Path | None
    devices: DeviceOptions
    folder: Path
    tell: Callable[[str], None]
    _found: dict[str, Best | None] = field(default_factory=dict, init=False)
    _ground: tuple[tuple[str, ...], TuningData] | None = field(default=None, init=False)

    def __call__(self, asked: Sequence[tuple[RunSpec, int | None]]) -> list[RunSpec]:
        """The same runs with configs tuned by so many trials each; None leaves a run as it is.

        What has nothing to tune stays as it is, and so does what fails.
        """
        seeds: dict[str, int] = {}
        for spec, trials in asked:
            if trials is not None:
                seeds[_alike(spec)] = min(spec.seed, seeds.get(_alike(spec), spec.seed))
        matched = []
        for spec, trials in sorted(asked, key=lambda one: one[0].shared()):
            if trials is None:
                matched.append(spec)
                continue
            spec = self._tuned(spec, seeds[_alike(spec)], trials)
            reference = spec.reference()
            if reference is not None and spec.match is not None:
                reference = self._tuned(reference, seeds.get(_alike(reference), reference.seed), trials)
                changes = {"config": reference.config, "tuning": reference.tuning}
                spec = spec.model_copy(update={"match": spec.match.model_copy(update=changes)})
            matched.append(spec)
        return matched

    def _tuned(self, spec: RunSpec, seed: int, trials: int) -> RunSpec:
        limit = spec.budget.tuning_trials
        changes: dict[str, Any] = {"trials": min(trials, limit or trials), "seconds": self.seconds}
        if spec.shots == 0 or spec.tuning is not None:
            return spec
        asked = SweepSpec.of_run(spec.model_copy(update={"seed": seed}), **changes)
        key = asked.model_dump_json()
        if key not in self._found:
            self._found[key] = self._best(asked, spec)
        best = self._found[key]
        return spec if best is None else spec.model_copy(update={"config": best.config, "tuning": best.tuning})

    def _best(self, asked: SweepSpec, spec: RunSpec) -> Best | None:
        what = f"{spec.method} on {task_text(spec)}, {spec.shots} shots"
        try:
            sweep = Sweep(asked, self._ground_of(asked, spec), str(self.folder / "journal.log"))
            sweep.run()
            best = sweep.best()
        except NothingToTuneError:
            return None
        except BenchError as error:
            self.tell(f"{what} stays untuned: {error}")
            return None
        self.tell(f"{what}: {best.tuning.trials} trials in {best.tuning.seconds:.1f} s, {best.config}")
        return best

    def _ground_of(self, asked: SweepSpec, spec: RunSpec) -> TuningData:
        """One at a time: runs come in the order of what they share."""
        if self._ground is None or self._ground[0] != spec.shared():
            self._ground = None
            self._ground = spec.shared(), TuningData.of(asked, self.data, self.devices)
        return self._ground[1]


def _alike(spec: RunSpec) -> str:
    """What runs have in common that share a config."""
    return spec.model_dump_json(exclude={"seed", "budget", "match", "tuning"})
