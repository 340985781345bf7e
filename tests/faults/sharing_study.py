"""Four processes that share a study, of which one is killed and another stopped for a while."""

import multiprocessing
import random
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from bench.engine.trainer import DeviceOptions, quiet_lightning
from sweeps.definition import sweep_spec
from sweeps.shared_limits import POLL
from sweeps.study import Sweep
from sweeps.trials import TuningData
from sweeps.workers import NAMELESS_LIMIT, Workers
from tests.faults.disturbed import LIMIT, disturbed

TRIALS = 12


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
    context = multiprocessing.get_context("spawn")
    for number in range(rounds):
        root = folder / str(number)
        answered = disturbed(context, _work, root, partial(_wait_for_trials, root, moments), moments, found)
        found["wrong"] += sum(answer != answered[0] for answer in answered)
        sweep = _sweep(root)
        found["left running"] += _left_running(sweep)
        trials = sweep.study.get_trials()
        complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        found["lost or too many"] += len(complete) != TRIALS
        # Where the study had all of its trials by then, the config of the killed trial waits, to be the first one if
        # the study is given more; no other does.
        found["left waiting"] += sum(trial.state is TrialState.WAITING for trial in trials) > 1
        found["doubled"] += len(complete) - len({trial.params["x"] for trial in complete})
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


def _left_running(sweep: Sweep) -> int:
    """Number of trials that run without a process.

    A process that was killed before it named its trial gives no other sign than the trial's age.
    """
    workers, deadline = Workers(sweep.where), time.monotonic() + 2 * NAMELESS_LIMIT
    while running := sweep.study.get_trials(states=(TrialState.RUNNING,)):
        if time.monotonic() > deadline:
            break
        time.sleep(POLL)
        workers.end_trials_of_ended(sweep.study)
    return len(running)


def _wait_for_trials(root: Path, moments: random.Random, process: Any) -> None:
    """Wait until the study has begun, and a moment more."""
    while not list(root.glob("*/journal.log")) and process.exitcode is None:
        process.join(0.05)
    process.join(moments.uniform(0, 1))


def _work(root: Path, barrier: Any, answers: Any) -> None:
    sweep = _sweep(root)
    barrier.wait(LIMIT)
    sweep.run()
    best = sweep.best()
    answers.put((best.config, best.tuning.trials))
