"""Options of a run's device and precision."""

import pytest
import torch

from bench.contracts import UsageError
from bench.engine.trainer import DeviceOptions


def test_several_devices_are_refused_with_what_to_do_instead():
    with pytest.raises(UsageError, match=r"one device, got --devices 2; .* --accelerator cuda:0, cuda:1"):
        DeviceOptions(devices=2)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"precision": "16-mixed"}, "use bf16-mixed or 16-true"),
        ({"accelerator": "cpu:1"}, "0 GPUs can be chosen by a number from 0 on, got '1'"),
    ],
)
def test_what_a_cpu_does_not_have_is_refused(options, reason):
    with pytest.raises(UsageError, match=reason):
        DeviceOptions(**{"accelerator": "cpu"} | options).device_name()


def test_weights_stay_where_a_trainer_has_moved_them(monkeypatch):
    trainer = DeviceOptions(accelerator="cpu").trainer()
    trainer.strategy.connect(torch.nn.Linear(1, 1))
    moved = []
    monkeypatch.setattr(torch.nn.Linear, "cpu", lambda layer: moved.append(layer))
    trainer.strategy.teardown()
    assert moved == []
