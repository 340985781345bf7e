"""Features of CIFAR-10 for the linear probes, from the feature cache; ``python -m tests.peers.features DATA`` fills it.

``make peers DATA=DIR`` does so first, in some ten minutes, unless runs on ``cifar10`` have left them there.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench import registry
from bench.data.feature_cache import pool_cache
from bench.engine.encoding import encode_missing
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.spec.run_spec import RunSpec

Split = tuple[Tensor, Tensor]
"""Keys ``[item, dim]`` and labels ``[item]``."""
SPEC = RunSpec(
    task="cifar10", backbone="efficientnet_lite0", method="linear_probe", shots="full", seed=0, episodes=1,
    queries=None, ways=None,
)  # fmt: skip
"""The run whose features these are."""
TRAIN = "cifar10/train.parquet"
"""File of a data folder that has CIFAR-10."""


def _warn(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def cifar10(data: Path) -> tuple[Split, Split]:
    """Unit features by EfficientNet-Lite0 of all training and test images; those that are not cached are encoded."""
    devices = DeviceOptions(accelerator="cpu")
    backbone, pools = registry.make_backbone(SPEC.backbone), registry.make_task(*SPEC.form()).load(data)
    found: list[Split] = []
    for split, pool in (("support", pools.support), ("query", pools.query)):
        cache, positions = pool_cache(backbone, pools.revision, SPEC, split, "cpu"), np.arange(len(pool.labels))
        table = cache.load(split, len(positions), _warn)
        if count := len(table.missing(positions)):
            _warn(f"encoding {count:,} images of CIFAR-10 once into {cache.folder}")
            encode_missing(backbone, pool, table, positions, cache, devices, lambda done: None, _warn)
        found.append((table.gather(positions[None])[0][0], torch.from_numpy(pool.labels)))
    return found[0], found[1]


def clustered(n_train: int, n_test: int, dim: int, ways: int) -> tuple[Split, Split]:
    """Made-up unit features of overlapping classes, where there are no images."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(ways, dim, generator=generator)

    def draw(count: int) -> Split:
        labels = torch.randint(ways, (count,), generator=generator)
        keys = centres[labels] + 12 * torch.randn(count, dim, generator=generator)
        return torch.nn.functional.normalize(keys, dim=-1), labels

    return draw(n_train), draw(n_test)


def main(data: Path) -> None:
    """Encode CIFAR-10 if it is in a folder of data sets."""
    if not (data / TRAIN).is_file():
        _warn(f"{data} has no {TRAIN}; clustered features stand in")
        return
    quiet_lightning()
    cifar10(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
