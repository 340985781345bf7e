"""Cost of encoding: what is made once is not counted."""

from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset, Features, Image
from PIL import Image as Pictures
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench import registry
from bench.contracts import Pool
from bench.costs import encoding
from bench.costs.encoding import encode_costs
from bench.engine.trainer import DeviceOptions
from bench.meters.stage import StageCost


@pytest.mark.slow
def test_operations_of_an_image_are_those_of_the_network(monkeypatch):
    monkeypatch.setattr("bench.backbones._conse.imagenet_names", lambda: ["fish"] * 1000)  # embedded in less time
    pictures = [Pictures.new("RGB", (64, 64), (shade, 0, 0)) for shade in (10, 200)]
    inputs = Dataset.from_dict({"input": pictures}, features=Features({"input": Image()}))
    backbone = registry.make_backbone("efficientnet_lite0")  # a new one, whose class names are not embedded yet
    devices = DeviceOptions(accelerator="cpu", batch_size=1)
    counted = encode_costs(backbone, Pool(inputs, np.zeros(2, dtype=np.int64)), devices).flops / 2
    with FlopCounterMode(display=False) as torch_counter:
        backbone.net(backbone.collate([backbone.prepare(pictures[0])]))
    assert counted == pytest.approx(torch_counter.get_total_flops(), rel=0.001)
    assert counted == pytest.approx(0.770e9, rel=0.001)


def test_all_items_are_encoded_once_to_count_and_three_times_on_the_clock(monkeypatch):
    sizes = []

    def encode(backbone, pool, positions, devices, **options):
        sizes.append(len(positions))
        return SimpleNamespace(cost=StageCost(0.5, 0.0, "none"))

    monkeypatch.setattr(encoding, "encode", encode)
    texts = Pool.of_texts([f"text {number}" for number in range(32)])
    assert encode_costs(nn.Identity(), texts, DeviceOptions(accelerator="cpu")).seconds == 0.5
    assert sizes == [4, 32, 32, 32, 32]
