"""Features of items: a table in memory and a cache on disk, so that each item is encoded once.

The cache of a pool is a folder named by everything that determines the features (see ``pool_cache``). Each encoding
pass adds one immutable safetensors shard, written atomically. Two processes may share a cache: at worst both encode
the same item. An unreadable item does not stop the others; it is an error of the runs that need it.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bench import registry
from bench.contracts import Backbone, BenchError, DataError, Features, NumericalError, StoreError
from bench.data.episodes import Positions
from bench.spec.suite import RunSpec
from bench.toolkit.code_hash import code_hash
from bench.toolkit.files import atomic_path, cache_folder
from bench.toolkit.versions import PROTOCOL, library_versions

FORMAT = 1
"""Version of the layout of the shards."""
_UNSEEN = DataError("it was never encoded")


@dataclass
class FeatureTable:
    """Features of one pool of a task, by position; extended as items are encoded.

    Attributes:
        split: "support" or "query".
        row: ``[pool]``, row of each item in ``keys`` and ``prior``, -1 without features.
        keys: ``[row, dim_k]``.
        prior: ``[row, dim_v]``.
        broken: Errors of the items that could not be encoded, by position.
    """

    split: str
    row: Positions
    keys: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    prior: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    broken: dict[int, BenchError] = field(default_factory=dict)

    def missing(self, positions: Positions) -> Positions:
        """Positions without features.

        Args:
            positions: Positions in the pool, of any shape, -1 where padded.

        Returns:
            ``[item]``, those of them without features, sorted and without repetition.
        """
        distinct: Positions = np.unique(positions[positions >= 0])
        return distinct[self.row[distinct] < 0]

    def add(self, positions: Positions, features: Features) -> None:
        """Add features; items whose features are not finite become broken.

        Args:
            positions: ``[item]``, positions in the pool.
            features: Their features in the same order.
        """
        finite = (features.keys.isfinite().all(-1) & features.prior.isfinite().all(-1)).numpy()
        for position in positions[~finite]:
            self.broken[int(position)] = NumericalError("its features must be finite numbers, got NaN or infinity")
        fresh = finite & (self.row[positions] < 0)
        self.row[positions[fresh]] = len(self.keys) + np.arange(int(fresh.sum()))
        chosen = torch.from_numpy(np.flatnonzero(fresh))
        self.keys = torch.cat([self.keys.reshape(-1, features.keys.shape[1]), features.keys[chosen]])
        self.prior = torch.cat([self.prior.reshape(-1, features.prior.shape[1]), features.prior[chosen]])

    def require(self, positions: Positions) -> None:
        """Require features of all positions.

        Args:
            positions: Positions in the pool, of any shape, -1 where padded.

        Raises:
            DataError: If an item could not be read or was never encoded.
            NumericalError: If the features of an item are not finite.
        """
        distinct = np.unique(positions[positions >= 0])
        bad = {int(position): self.broken.get(int(position), _UNSEEN) for position in self.missing(positions)}
        if bad:
            reasons = list(bad.items())
            named = "; ".join(f"{self.split} item {position}: {reason}" for position, reason in reasons[:3])
            more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
            raise type(reasons[0][1])(
                f"{len(bad)} of the {len(distinct)} {self.split} items of this run cannot be used: {named}{more}; "
                "repair or remove them"
            )

    def gather(self, positions: Positions) -> tuple[Tensor, Tensor]:
        """Features of the items of episodes.

        Args:
            positions: ``[episode, item]``, positions in the pool, -1 where padded.

        Returns:
            Keys ``[episode, item, dim_k]`` and priors ``[episode, item, dim_v]``, 0 where padded.

        Raises:
            DataError: If an item could not be read or was never encoded.
            NumericalError: If the features of an item are not finite.
        """
        self.require(positions)
        rows = torch.from_numpy(np.where(positions >= 0, self.row[np.maximum(positions, 0)], -1))
        present = (rows >= 0).unsqueeze(-1)
        rows = rows.clamp(min=0)
        return self.keys[rows] * present, self.prior[rows] * present


class FeatureCache:
    """Folder of the encoded items of one pool.

    Attributes:
        folder: The folder.
        identity: Everything that determines the features, as JSON.
    """

    def __init__(self, root: Path, identity: dict[str, Any]) -> None:
        """Name the folder of a pool; nothing is read or written.

        Args:
            root: Folder of all caches.
            identity: Everything that determines the features.
        """
        text = json.dumps({"format": FORMAT, **identity}, sort_keys=True)
        self.folder = root / "features" / hashlib.sha256(text.encode()).hexdigest()[:24]
        self.identity = text

    def load(self, split: str, n_items: int) -> FeatureTable:
        """Read the cached features of a pool.

        Args:
            split: "support" or "query".
            n_items: Number of items of the pool.

        Returns:
            A table of the features, empty if none are cached.

        Raises:
            StoreError: If a shard is damaged.
        """
        table = FeatureTable(split, np.full(n_items, -1, dtype=np.int64))
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                with safe_open(path, framework="pt") as shard:
                    tensors = {name: shard.get_tensor(name) for name in shard.keys()}  # noqa: SIM118 not a dict
                positions = tensors["positions"].numpy()
                table.add(positions, Features(tensors["keys"], tensors["prior"]))
            except (SafetensorError, OSError, KeyError, ValueError, IndexError, RuntimeError) as error:
                raise StoreError(
                    f"feature cache file is damaged: {path} ({path.stat().st_size} bytes; {error}); "
                    "delete it and run again to encode its items again"
                ) from error
        return table

    def save(self, positions: Positions, features: Features) -> None:
        """Write one shard atomically.

        Args:
            positions: ``[item]``, positions in the pool.
            features: Their features in the same order.

        Raises:
            StoreError: If the shard cannot be written.
        """
        tensors = {
            "positions": torch.from_numpy(positions),
            "keys": features.keys.contiguous(),
            "prior": features.prior.contiguous(),
        }
        name = hashlib.sha256(positions.tobytes()).hexdigest()[:24]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(self.folder / f"{name}.safetensors") as part:
                save_file(tensors, part, {"identity": self.identity})
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"features cannot be written to {self.folder}: {error}; free space or set BENCH_CACHE"
            ) from error


def pool_cache(backbone: Backbone, revision: str, spec: RunSpec, split: str, device_kind: str) -> FeatureCache:
    """The feature cache of a task's pool, shared by all runs with the same features.

    Its key contains every fact of a record's identity that concerns features, so that no record is computed from
    features of another version of a library, a plugin or the harness.

    Args:
        backbone: The encoder.
        revision: Revision of the task's data.
        spec: One of the runs: its task, backbone and precision.
        split: "support" or "query".
        device_kind: "cpu", "cuda" or "mps".

    Returns:
        The cache.
    """
    identity = {
        "weights": backbone.fingerprint,
        "backbone code": code_hash(registry.get("backbones", spec.backbone.partition(":")[0]).module),
        "data": revision,
        "task": spec.task,
        "task code": code_hash(registry.get("tasks", spec.task).module),
        "split": split,
        "precision": spec.precision,
        "device": device_kind,
        "libraries": library_versions(),
        "protocol": PROTOCOL,
    }
    return FeatureCache(cache_folder(), identity)
