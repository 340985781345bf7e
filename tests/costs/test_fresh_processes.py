"""Costs that are measured in fresh processes: nothing that a method remembers or touches first changes them."""

import pytest

from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.results.store import Store
from bench.runs.runner import Runner
from bench.spec.expand import expand
from bench.spec.suite import Block
from tests.helpers.runs import Notebook

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("outside", "cache")]


def run(folder, **changes):
    """Costs of the method's runs, by default of one."""
    quiet_lightning()
    block = {"task": "stripes", "backbone": "pixels", "methods": ["lying"], "shots": [5], "episodes": 2} | changes
    runner = Runner(Store(folder), DeviceOptions(accelerator="cpu", batch_size=16), Notebook())
    records = runner.run(expand(Block.model_validate(block))).records
    assert {record.status for record in records} == {"ok"}, [record.reason for record in records]
    assert {record.costs.process for record in records} == {"fresh"}
    return [record.costs for record in records]


# Of twelve, brief work is measured on several in each process.
@pytest.mark.parametrize(("episodes", "seconds"), [(1, 0.1), (2, 0.1), (12, 0.05)])
def test_a_method_that_remembers_its_inputs_is_not_free(tmp_path, episodes, seconds):
    (costs,) = run(tmp_path, episodes=episodes, set={"lying": {"seconds": seconds, "lie": "remember"}})
    assert costs.adapt.seconds >= seconds
    assert costs.adapt.seconds_low >= seconds
    assert costs.repeats >= 3


# A sixth and five sixths of the support items: there are 30 of each class. That a method gets faster shows only on an
# idle machine.
@pytest.mark.alone
def test_a_method_that_remembers_items_pays_for_what_episodes_have_in_common(tmp_path, monkeypatch):
    for name in ("OTHERS_SHARE", "STEAL_SHARE", "LEAST_SECONDS"):
        monkeypatch.setattr(f"bench.spec.conditions.{name}", 1e9)  # what is in company is not measured further
    lie = {"lying": {"seconds": 0.05, "lie": "items"}}
    some, most = run(tmp_path, episodes=12, shots=[5, 25], set=lie)
    assert some.adapt.seconds >= 0.9 * 0.05
    assert most.adapt.seconds >= 0.9 * 0.05


def test_frozen_weights_are_no_memory_of_the_method_however_long_it_takes(tmp_path, monkeypatch):
    weights = {"lying": {"lie": "weights"}}
    (repeated,) = run(tmp_path / "repeated", backbone="pixels:heavy", set=weights)
    monkeypatch.setattr("bench.costs.repeats.LONG", 0.0)
    (once,) = run(tmp_path / "once", backbone="pixels:heavy", set=weights)
    assert (once.repeats, repeated.repeats > 0) == (0, True)
    assert once.adapt.peak_memory_mb == pytest.approx(repeated.adapt.peak_memory_mb, abs=8)
    assert once.peak_memory_mb < 32  # the weights are 64 MiB
