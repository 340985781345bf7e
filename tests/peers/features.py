"""Features of CIFAR-10 for the linear probes, encoded once and kept in the cache folder."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.backbones.efficientnet_lite0 import EfficientNetLite0
from bench.engine.encoding import encode
from bench.engine.trainer import DeviceOptions
from bench.toolkit.files import cache_folder
from tasks.cifar10 import Cifar10

Split = tuple[Tensor, Tensor]
"""Keys ``[item, dim]`` and labels ``[item]``."""


def cifar10(data: Path) -> tuple[Split, Split]:
    """Unit features by EfficientNet-Lite0 of all training and test images."""
    backbone = EfficientNetLite0().eval()
    file = cache_folder() / "peers" / f"cifar10-{backbone.fingerprint[:16]}.safetensors"
    pools = Cifar10().load(data)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        print(f"encoding 60,000 images once into {file}; this takes several minutes", flush=True)
        kept = {}
        for name, pool in (("train", pools.support), ("test", pools.query)):
            encoded = encode(backbone, pool, np.arange(len(pool.labels)), DeviceOptions(accelerator="cpu"))
            assert encoded.features is not None
            kept[name] = encoded.features.keys
        save_file(kept, file)
    found = load_file(file)
    return (
        (found["train"], torch.from_numpy(pools.support.labels)),
        (found["test"], torch.from_numpy(pools.query.labels)),
    )


def clustered(n_train: int, n_test: int, dim: int, ways: int) -> tuple[Split, Split]:
    """Made-up unit features of overlapping classes, where there are no images."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(ways, dim, generator=generator)

    def draw(count: int) -> Split:
        labels = torch.randint(ways, (count,), generator=generator)
        keys = centres[labels] + 12 * torch.randn(count, dim, generator=generator)
        return torch.nn.functional.normalize(keys, dim=-1), labels

    return draw(n_train), draw(n_test)
