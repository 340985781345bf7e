"""Study: trials drawn by Optuna, kept in its storage, shared by workers, and continued after an interrupt."""

import math
import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
import psutil
import torch
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner
from optuna.samplers import BaseSampler, CmaEsSampler, GridSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from bench.contracts import BenchError, GradientMethod, StoreError, UsageError
from bench.contracts.errors import one_line_error
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.meters.memory import garbage_collection_frozen
from bench.results.identity import plugin_code
from bench.spec.best_config import Best
from bench.spec.tuning import Tuning
from bench.toolkit.code_hash import code_hash
from bench.toolkit.seeds import name_seed
from bench.toolkit.versions import PROTOCOL, library_versions
from sweeps.definition import SweepSpec
from sweeps.space import Dimension
from sweeps.trials import RUNGS, Trials, TuningData

ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
REASON = "reason"
"""Attribute of a trial that failed by itself. A trial that was ended from outside has none, and does not count."""


def open_storage(where: str) -> BaseStorage:
    """Open a journal file by its path, or a database by its URL.

    Args:
        where: Path or URL.

    Returns:
        The storage.

    Raises:
        StoreError: If it cannot be used.
    """
    try:
        if "://" in where:
            return RDBStorage(where)
        Path(where).parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(where))
    except (OSError, SQLAlchemyError, ImportError, ValueError) as error:
        raise StoreError(f"storage {where} cannot be used: {' '.join(str(error).split())}") from None


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


def _process() -> str:
    """Identity of this process: host, number, and start time, since numbers are reused."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time()}"


def _has_ended(process: str) -> bool:
    """Whether a process is known to have ended; processes of other hosts are not known."""
    host, number, began = process.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        return bool(psutil.Process(int(number)).create_time() != float(began))
    except psutil.NoSuchProcess:
        return True


@dataclass
class Sweep:
    """A study on its storage.

    Attributes:
        spec: Definition of the study.
        tuning_data: Support data and backbone.
        storage: Path of a journal file, or URL of a database.
        workers: Number of processes that share the study.
        on_trial: Called with each ended trial of this process.
        trials: Evaluation of configs.
        name: Name of the study.
    """

    spec: SweepSpec
    tuning_data: TuningData
    storage: str
    workers: int = 1
    on_trial: Callable[[FrozenTrial], None] = lambda trial: None

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
            "device": self.tuning_data.devices.device_kind(),
            "protocol": PROTOCOL,
        }
        self.name = self.spec.name(identity)

    @cached_property
    def study(self) -> optuna.Study:
        """The study, new or continued; the first trial of a new one is the default config.

        Raises:
            StoreError: If the storage cannot be used.
        """
        made = self._opened(worker=0)
        for trial in made.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if _has_ended(trial.user_attrs.get("process", f"{socket.gethostname()}:0:0")):
                made.tell(trial.number, state=TrialState.FAIL)
        if not made.get_trials(deepcopy=False) and self.spec.sampler != "grid":
            config = self.trials.config({})
            default = {dimension.name: getattr(config, dimension.name) for dimension in self.trials.space}
            if all(dimension.contains(default[dimension.name]) for dimension in self.trials.space):
                made.enqueue_trial(default)
        return made

    def _opened(self, worker: int) -> optuna.Study:
        storage = open_storage(self.storage)
        begun = 0
        if self.name in {each.study_name for each in storage.get_all_studies()}:
            begun = len(optuna.load_study(study_name=self.name, storage=storage).get_trials(deepcopy=False))
        # A continued study must not repeat its first draws.
        seed = name_seed(self.name, worker, begun)
        return optuna.create_study(
            study_name=self.name,
            storage=storage,
            directions=self.trials.directions(),
            sampler=sampler_of(self.spec, self.trials.space, seed, self.workers),
            pruner=pruner_of(self.spec, self.trials),
            load_if_exists=True,
        )

    @property
    def total(self) -> int:
        """Total number of trials; a grid may have fewer than the spec allows."""
        if self.spec.sampler != "grid":
            return self.spec.trials
        return min(self.spec.trials, math.prod(map(len, grid_of(self.trials.space, self.spec.trials).values())))

    def ended(self) -> list[FrozenTrial]:
        """Ended trials, without those that were ended from outside."""
        found = self.study.get_trials(deepcopy=False, states=ENDED)
        return [trial for trial in found if trial.state is not TrialState.FAIL or REASON in trial.user_attrs]

    def run(self) -> None:
        """Run the missing trials, in as many processes as there are workers.

        A trial that fails is a failed trial. An interrupt is raised again after the interrupted trial is marked as
        failed.

        Raises:
            BenchError: If a worker ends early.
        """
        missing = self.total - len(self.ended())
        if missing <= 0:
            return
        began = time.monotonic()
        if self.workers == 1:
            self.work(missing, began)
            return
        shares = [missing // self.workers + (worker < missing % self.workers) for worker in range(self.workers)]
        context = multiprocessing.get_context("spawn")
        task = (self.spec, self.storage, self.workers, self.tuning_data.devices, self.tuning_data.data_folder)
        processes = [
            context.Process(target=_work, args=(*task, worker, share))
            for worker, share in enumerate(shares, start=1)
            if share
        ]
        for process in processes:
            process.start()
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

    def work(self, count: int, began: float, worker: int = 0) -> None:
        """Run trials in this process, as long as there is time.

        Args:
            count: Number of trials.
            began: Start of the study, by the monotonic clock.
            worker: Number of the worker; 0 for the main process.
        """
        study = self._opened(worker) if worker else self.study
        with garbage_collection_frozen():
            for _ in range(count):
                left = None if self.spec.seconds is None else self.spec.seconds - (time.monotonic() - began)
                if left is not None and left <= 0:
                    return
                callbacks = [lambda _, trial: self.on_trial(trial)]
                study.optimize(self._objective, n_trials=1, catch=(Exception,), callbacks=callbacks)

    def _objective(self, trial: optuna.Trial) -> float | list[float]:
        trial.set_user_attr("process", _process())
        try:
            varied = {dimension.name: dimension.suggest(trial) for dimension in self.trials.space}
            config = self.trials.config(varied)

            def report(ninths: int, score: float) -> None:
                trial.report(score, ninths)
                if trial.should_prune():
                    raise optuna.TrialPruned

            prunes = not isinstance(trial.study.pruner, NopPruner)
            values = self.trials.values(config, report if prunes else None)
        except optuna.TrialPruned:
            raise
        except Exception as error:
            trial.set_user_attr(REASON, one_line_error(error))
            raise
        except BaseException:
            # A trial that is still marked as running would only fail at the next start of the study.
            trial.study.tell(trial, state=TrialState.FAIL)
            raise
        return values if len(values) > 1 else values[0]

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
            raise BenchError(f"none of {len(ended)} trials was completed; the first ended with: {reasons[0]}")
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
    spec: SweepSpec, storage: str, workers: int, devices: DeviceOptions, data: Path | None, worker: int, count: int
) -> None:
    """A worker's share, in a process of its own."""
    quiet_lightning()
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    Sweep(spec, TuningData.of(spec, data, devices), storage, workers).work(count, time.monotonic(), worker)
