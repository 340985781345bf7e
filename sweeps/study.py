"""Study: trials drawn by Optuna, kept in its storage, shared by processes, and continued after an interrupt."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import optuna
import torch
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from bench.contracts import BenchError
from bench.engine.server_start import packed, tied_process
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.meters.memory import garbage_collection_frozen
from bench.results.identity import plugin_code
from bench.runs.executors import Executor
from bench.spec.best_config import Best
from bench.spec.tuning import Tuning
from bench.toolkit.code_hash import code_hash
from bench.toolkit.seeds import name_seed
from bench.toolkit.versions import PROTOCOL, library_versions
from sweeps.attempt import REASON, Attempt, counts
from sweeps.definition import SweepSpec
from sweeps.driver import TrialDriver
from sweeps.journal import Notify, to_standard_error
from sweeps.migration import journal_of
from sweeps.sampling import TrialSampler, grid_of, pruner_of, sampler_of
from sweeps.shared_limits import SharedLimits
from sweeps.storage import open_storage, storage_errors
from sweeps.trials import Trials, TuningData
from sweeps.workers import Workers


@dataclass
class Sweep:
    """A study on its storage.

    Attributes:
        spec: Definition of the study.
        tuning_data: Support data and backbone.
        folder: Folder of studies; without another storage a study has a journal in its own folder there.
        storage: Path of a journal file, or URL of a database; None for the study's own journal.
        workers: Number of processes that this one starts for the study.
        on_trial: Called with each ended trial of this process.
        notify: Receiver of a line about a repair or a wait.
        executor: Evaluates the trials in other processes, started; None for this one and its workers.
        trials: Evaluation of configs.
        name: Name of the study.
    """

    spec: SweepSpec
    tuning_data: TuningData
    folder: Path
    storage: str | None = None
    workers: int = 1
    on_trial: Callable[[FrozenTrial], None] = lambda trial: None
    notify: Notify = to_standard_error
    executor: Executor | None = None

    def __post_init__(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.trials = Trials(self.spec, self.tuning_data)
        run = self.trials.run
        identity = {
            "data": self.tuning_data.data.revision,
            "weights": self.tuning_data.backbone.fingerprint,
            "code": plugin_code(run.task, run.backbone, self.trials.resolved.method_at_site),
            "trials": code_hash("sweeps.trials"),
            "libraries": library_versions(),
            "device": self._device_kind(),
            "protocol": PROTOCOL,
        }
        self.name = self.spec.name(identity)

    def _device_kind(self) -> str:
        return self.tuning_data.devices.device_kind() if self.executor is None else self.executor.device()[0]

    @cached_property
    def where(self) -> str:
        """Path of the journal, or URL of the database."""
        return self.storage or str(journal_of(self.name, self.folder, self.notify))

    @cached_property
    def study(self) -> optuna.Study:
        """The study, new or continued.

        Raises:
            StoreError: If the storage cannot be used.
        """
        return self._opened()

    @cached_property
    def _storage(self) -> BaseStorage:
        return open_storage(self.where, self.notify)

    def _opened(self) -> optuna.Study:
        with storage_errors(self.where):
            sampler = TrialSampler(self._sampler, self.trials.default() if self.spec.sampler != "grid" else None)
            made = optuna.create_study(
                study_name=self.name,
                storage=self._storage,
                directions=self.trials.directions(),
                sampler=sampler,
                pruner=pruner_of(self.spec, self.trials),
                load_if_exists=True,
            )
            Workers(self.where).end_trials_of_ended(made)
        return made

    def _sampler(self, number: int) -> BaseSampler:
        """The sampler of a trial by its number; a grid numbers its points by the seed, so that all trials have one."""
        seed = name_seed(self.name, 0 if self.spec.sampler == "grid" else number)
        at_once = self.workers if self.executor is None else self.executor.places()
        return sampler_of(self.spec, self.trials.space, seed, at_once)

    @property
    def total(self) -> int:
        """Total number of trials; a grid may have fewer than the spec allows."""
        if self.spec.sampler != "grid":
            return self.spec.trials
        return min(self.spec.trials, math.prod(map(len, grid_of(self.trials.space, self.spec.trials).values())))

    def ended(self) -> list[FrozenTrial]:
        """Ended trials, without those that were ended from outside."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if counts(trial)]

    def run(self) -> None:
        """Run the missing trials, in as many processes as there are workers, and wait for those of other processes.

        A trial that fails is a failed trial. An interrupt is raised again after the interrupted trial is marked as
        failed.

        Raises:
            BenchError: If a worker ends early.
            StoreError: If the storage cannot be written.
        """
        if len(self.ended()) >= self.total:
            return
        if self.executor is not None:
            self._hand_out(self.executor)
            return
        if self.workers == 1:
            self.work()
            return
        task = (
            self.spec,
            self.folder,
            self.where,
            self.workers,
            self.tuning_data.devices,
            self.tuning_data.data_folder,
        )
        processes = [tied_process(packed(_work, *task)) for _ in range(self.workers)]
        try:
            for process in processes:
                process.join()
        except BaseException:
            for process in processes:
                process.terminate()
            raise
        if any(process.exitcode for process in processes):
            codes = ", ".join(str(process.exitcode) for process in processes)
            raise BenchError(f"workers ended early, by exit codes {codes}; the same command continues")

    def work(self) -> None:
        """Run trials in this process until the study, over all its processes, has as many as it may or no time left.

        Raises:
            StoreError: If the storage cannot be written.
        """
        study, limits = self.study, self._limits()
        began = time.monotonic()
        with garbage_collection_frozen(), limits.workers.present(), storage_errors(self.where):
            while limits.another_trial(time.monotonic() - began):
                Attempt(self.trials, limits, self.on_trial).run(study)

    def _hand_out(self, executor: Executor) -> None:
        """Run the missing trials by an executor."""
        limits = self._limits()
        driver = TrialDriver(self.trials, self.study, self._storage, limits, executor, self.on_trial, self.notify)
        with limits.workers.present(), storage_errors(self.where):
            driver.run()

    def _limits(self) -> SharedLimits:
        return SharedLimits(self.study, Workers(self.where), self.total, self.spec.seconds, counts, self.notify)

    def pareto_trials(self) -> list[FrozenTrial]:
        """The Pareto set of several objectives, or the best trial; the best by the first objective is first."""
        if not self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            return []
        downwards = self.trials.directions()[0] == "minimize"
        found = sorted(self.study.best_trials, key=lambda trial: trial.values[0] if downwards else -trial.values[0])
        # For one objective, these are trials with equal values.
        return found if len(self.spec.objectives) > 1 else found[:1]

    def best(self) -> Best:
        """The best config.

        Returns:
            The config, with facts about the search.

        Raises:
            BenchError: If no trial was completed.
        """
        pareto = self.pareto_trials()
        ended = self.ended()
        if not pareto:
            reasons = [trial.user_attrs.get(REASON, "pruned") for trial in ended]
            first = f"; the first ended with: {reasons[0]}" if reasons else ""
            raise BenchError(f"none of {len(ended)} trials was completed{first}")
        seconds = sum(trial.duration.total_seconds() for trial in ended if trial.duration)
        tuning = Tuning(
            trials=len(ended),
            seconds=seconds,
            sampler=self.spec.sampler,
            objective=self.spec.objectives[0],
            validation=self.trials.validation,
            score=pareto[0].values[0],
            study=self.name,
        )
        return Best(method=self.spec.method, config=self.spec.set | pareto[0].params, tuning=tuning)


def _work(
    spec: SweepSpec,
    folder: Path,
    storage: str,
    workers: int,
    devices: DeviceOptions,
    data: Path | None,
) -> None:
    """One worker, in a process of its own."""
    quiet_lightning()
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    Sweep(spec, TuningData.of(spec, data, devices), folder, storage, workers).work()
