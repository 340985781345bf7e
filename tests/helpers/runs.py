"""A grid of small runs on the outside task, a runner for them, and a reporter that remembers them."""

from contextlib import contextmanager

import pytest

from bench import registry
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.results.store import Store
from bench.runs.reporter import Reporter
from bench.runs.runner import Runner, same_process
from bench.spec.expand import expand
from bench.spec.suite import Block
from tests.helpers import brief_costs

METHODS = ["zero_shot", "faast", "softmax_memory", "knn", "linear_probe"]
FEW = {"methods": ["faast", "knn"], "shots": [1], "seeds": [0, 1], "set": {}, "episodes": 3}
"""Fields of a grid of four runs."""


class Notebook(Reporter):
    """A reporter that remembers."""

    def __init__(self):
        self.encoded, self.ran, self.problems = 0, [], []

    def plan(self, total, left=None):
        self.total = total

    def encoding(self, what, total):
        def advance(number):
            self.encoded += number

        return advance

    def running(self, spec):
        self.ran.append((spec.method, spec.shots, spec.seed))

    def problem(self, message):
        self.problems.append(message)


def runner_in(folder):
    """A runner on a store in a folder, which measures in this process."""
    quiet_lightning()
    devices = DeviceOptions(accelerator="cpu", batch_size=16)
    return Runner(Store(folder / "store"), devices, Notebook(), isolate=same_process)


@contextmanager
def outside_runner(site, folder):
    """A module's runner: beside the outside package in ``site``, with a cache of its own and brief costs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setenv("BENCH_CACHE", str(folder / "cache"))
        brief_costs.set_during(patch)
        registry.find.cache_clear()
        yield runner_in(folder)
    registry.find.cache_clear()


def grid(**changes):
    # Enough steps to learn, few enough for a test.
    steps = {"linear_probe": {"steps": 20}}
    methods = changes.get("methods", METHODS)
    block = {
        "set": {name: values for name, values in steps.items() if name in methods},
        "task": "stripes",
        "backbone": "pixels",
        "methods": METHODS,
        "shots": [1, 5],
        "seeds": [0, 1],
    }
    return expand(Block.model_validate(block | changes))


def run(folder, executor=None, specs=None, isolate=same_process, **options):
    """Run specs, by default four, against a store."""
    quiet_lightning()
    runner = Runner(
        Store(folder), DeviceOptions(accelerator="cpu"), Notebook(), isolate=isolate, executor=executor, **options
    )
    return runner.run(specs or grid(**FEW))


def results(folder):
    """What must not depend on where a run was executed."""
    return {
        record.id: (record.status, record.value, record.episode_scores, record.predictions, record.identity)
        for record in Store(folder)
    }
