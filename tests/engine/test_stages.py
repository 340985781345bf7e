"""Costs of adapting to one task after another."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from bench.contracts import Continual, ForwardMethod
from bench.engine.stages import adapt_in_stages
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.testing.doubles import backbone_for
from bench.testing.problems import problem
from tests.helpers.adaptation import Case, Group

pytestmark = pytest.mark.alone
MEGABYTES, SECONDS = 100, 0.2


class Hoarder(Continual, ForwardMethod):
    """Keeps some memory for each task, and takes its time before it goes on."""

    source = "none"

    def observe(self, support):
        """Nothing to take in."""

    def continue_adapt(self):
        time.sleep(SECONDS)

    def solve(self):
        self.kept = [*getattr(self, "kept", []), np.ones(MEGABYTES * 2**20, dtype=np.uint8)]

    def predict(self, query):
        return self.backbone.class_logits(query.prior, query.classes)


class InTurn(Group):
    """A sequence of three tasks with the same examples."""

    def __init__(self, case):
        super().__init__(case)
        support = case.given.support.inputs.positions
        self.episodes = SimpleNamespace(query=self.episodes.query, support=support, stages=(support.shape[1],) * 3)

    def stages(self):
        return [self] * 3


def test_what_earlier_tasks_left_in_memory_and_the_time_between_tasks_count():
    quiet_lightning()
    group = InTurn(Case("hoarder", Hoarder, {}, backbone_for(Hoarder), problem(n_episodes=1)))
    result = adapt_in_stages(group, DeviceOptions(accelerator="cpu"))
    assert result.adapt.peak_memory_mb == pytest.approx(3 * MEGABYTES, rel=0.1)
    assert result.query.peak_memory_mb == pytest.approx(3 * MEGABYTES, rel=0.1)
    assert result.adapt.seconds >= 2 * SECONDS
