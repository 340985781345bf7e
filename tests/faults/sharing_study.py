"""Four processes that share a study, of which one is killed and another stopped for a while."""

import multiprocessing
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from bench.engine.trainer import DeviceOptions, quiet_lightning
from sweeps.definition import sweep_spec
from sweeps.study import Sweep
from sweeps.trials import TuningData

PROCESSES, TRIALS = 4, 12
LIMIT = 300.0
"""Seconds within which all processes must have ended."""


def share_study(folder: Path, rounds: int, seed: int = 0) -> Counter[str]:
    """Let four processes run one study on one journal, kill one of them and stop another.

    Args:
        folder: An empty folder.
        rounds: Number of studies.
        seed: Seed of the moments.

    Returns:
        Counts: rounds, killed processes, and of what must not be, by name.
    """
    moments, found = random.Random(seed), Counter[str]()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sweeps.study"])
    for number in range(rounds):
        root = folder / str(number)
        barrier, answers = context.Barrier(PROCESSES), context.Queue()
        processes = [context.Process(target=_work, args=(root, barrier, answers)) for _ in range(PROCESSES)]
        for process in processes:
            process.start()
        killed, stopped, *others = processes
        while not list(root.glob("*/journal.log")) and killed.exitcode is None:
            killed.join(0.05)
        killed.join(moments.uniform(0, 1))
        if killed.exitcode is None:
            killed.kill()
            found["killed"] += 1
        os.kill(stopped.pid, signal.SIGSTOP)
        stopped.join(moments.uniform(0, 1))
        os.kill(stopped.pid, signal.SIGCONT)
        for process in (stopped, *others):
            process.join(LIMIT)
            found["hangs"] += process.exitcode is None
            found["tracebacks"] += process.exitcode not in (0, None)
        answered = [answers.get() for process in (stopped, *others) if process.exitcode == 0]
        found["wrong"] += sum(answer != answered[0] for answer in answered)
        study = _sweep(root).study
        trials = study.get_trials()
        complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        found["lost or too many"] += len(complete) != TRIALS
        found["doubled"] += len(complete) - len({trial.params["x"] for trial in complete})
        found["left open"] += sum(not trial.state.is_finished() for trial in trials)
        found["rounds"] += 1
    return found


def _sweep(root: Path) -> Sweep:
    quiet_lightning()
    spec = sweep_spec(
        {
            "task": "stripes", "backbone": "pixels", "method": "planted", "episodes": 2, "trials": TRIALS,
            "sampler": "random", "set": {"seconds": 0.05},
        }
    )  # fmt: skip
    return Sweep(spec, TuningData.of(spec, None, DeviceOptions(accelerator="cpu", batch_size=16)), root)


def _work(root: Path, barrier: Any, answers: Any) -> None:
    sweep = _sweep(root)
    barrier.wait(LIMIT)
    sweep.run()
    best = sweep.best()
    answers.put((best.config, best.tuning.trials))
