"""Encoding with data workers."""

import numpy as np
import pytest
import torch

from bench import registry
from bench.engine.encoding import encode
from bench.engine.trainer import DeviceOptions, quiet_lightning


@pytest.mark.slow
def test_data_workers_need_no_shared_memory(outside, monkeypatch, tmp_path):
    quiet_lightning()
    backbone = registry.make_backbone("pixels")
    pool = registry.make_task("stripes", "plain").load(None).query
    positions = np.arange(8)
    share = torch.UntypedStorage._share_fd_cpu_

    def noted(storage, *arguments):  # in a worker, which has a copy of this process
        (tmp_path / "shared").touch()
        return share(storage, *arguments)

    monkeypatch.setattr(torch.UntypedStorage, "_share_fd_cpu_", noted)
    alone, workers = (
        encode(backbone, pool, positions, DeviceOptions(accelerator="cpu", batch_size=4, workers=number))
        for number in (0, 2)
    )
    assert torch.equal(alone.features.keys, workers.features.keys)
    assert not (tmp_path / "shared").exists()
