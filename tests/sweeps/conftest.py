"""Sweeps on the outside package's small task."""

from contextlib import ExitStack

import pytest

from bench.engine.trainer import DeviceOptions, quiet_lightning
from sweeps.definition import sweep_spec
from sweeps.study import Sweep
from sweeps.trials import TuningData
from sweeps.units import TrialOptions


@pytest.fixture
def sweep(outside, cache, tmp_path):
    """Makes a sweep of a method on stripes, in a folder of the test's own."""
    quiet_lightning()

    def make(workers=1, storage=None, executor=None, **fields):
        spec = sweep_spec({"task": "stripes", "backbone": "pixels", "method": "planted", "episodes": 3, **fields})
        tuning_data = TuningData.of(spec, None, DeviceOptions(accelerator="cpu", batch_size=16))
        if executor is not None:
            executor.start(TrialOptions(tuning_data.devices))
            stack.callback(executor.close)
        return Sweep(spec, tuning_data, tmp_path / "studies", storage, workers, executor=executor)

    with ExitStack() as stack:
        yield make
