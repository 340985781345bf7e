"""Encode each item once and keep the result.

The cache is a folder for all that decides features (see ``pool_cache``); in it every encoding pass leaves
one immutable safetensors shard, written atomically. Two processes may share it: at worst both encode
the same item. An item that cannot be read does not stop the others; it is named when a run needs it.
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
_UNSEEN = DataError("it was never encoded")


@dataclass
class FeatureTable:
    """Features of one pool of a task, by position; grows as items are encoded.

    row: ``[pool]``, where an item's features are, -1 if it has none. broken: why an item has no features.
    """

    split: str
    row: Positions
    keys: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    prior: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    broken: dict[int, BenchError] = field(default_factory=dict)

    def missing(self, positions: Positions) -> Positions:
        """Which of ``positions`` (each once, in order) have no features yet."""
        wanted: Positions = np.unique(positions[positions >= 0])
        return wanted[self.row[wanted] < 0]

    def add(self, positions: Positions, features: Features) -> None:
        """Take in the features of ``positions``; refuse, by name, those that are not finite."""
        finite = (features.keys.isfinite().all(-1) & features.prior.isfinite().all(-1)).numpy()
        for position in positions[~finite]:
            self.broken[int(position)] = NumericalError("its features must be finite numbers, got NaN or infinity")
        fresh = finite & (self.row[positions] < 0)
        self.row[positions[fresh]] = len(self.keys) + np.arange(int(fresh.sum()))
        chosen = torch.from_numpy(np.flatnonzero(fresh))
        self.keys = torch.cat([self.keys.reshape(-1, features.keys.shape[1]), features.keys[chosen]])
        self.prior = torch.cat([self.prior.reshape(-1, features.prior.shape[1]), features.prior[chosen]])

    def require(self, positions: Positions) -> None:
        """Raise DataError or NumericalError, naming the items, if any of ``positions`` cannot be used."""
        wanted = np.unique(positions[positions >= 0])
        bad = {int(position): self.broken.get(int(position), _UNSEEN) for position in self.missing(positions)}
        if bad:
            reasons = list(bad.items())
            named = "; ".join(f"{self.split} item {position}: {reason}" for position, reason in reasons[:3])
            more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
            raise type(reasons[0][1])(
                f"{len(bad)} of the {len(wanted)} {self.split} items of this run cannot be used: {named}{more}; "
                "mend or remove them"
            )

    def gather(self, positions: Positions) -> tuple[Tensor, Tensor]:
        """Keys ``[episode, item, dim_k]`` and priors ``[episode, item, dim_v]``, 0 where padded."""
        self.require(positions)
        rows = torch.from_numpy(np.where(positions >= 0, self.row[np.maximum(positions, 0)], -1))
        present = (rows >= 0).unsqueeze(-1)
        rows = rows.clamp(min=0)
        return self.keys[rows] * present, self.prior[rows] * present


class FeatureCache:
    """The folder that holds the encoded items of one pool."""

    def __init__(self, root: Path, identity: dict[str, Any]) -> None:
        text = json.dumps({"format": FORMAT, **identity}, sort_keys=True)
        self.folder = root / "features" / hashlib.sha256(text.encode()).hexdigest()[:24]
        self.identity = text

    def load(self, split: str, n_items: int) -> FeatureTable:
        """All that is cached for a pool of ``n_items``. Raises StoreError on a damaged file."""
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
                    "delete it and run again, its items will be encoded anew"
                ) from error
        return table

    def save(self, positions: Positions, features: Features) -> None:
        """Write one shard, whole or not at all. Raises StoreError if the disk refuses it."""
        tensors = {
            "positions": torch.from_numpy(positions),
            "keys": features.keys.contiguous(),
            "prior": features.prior.contiguous(),
        }
        name = hashlib.sha256(positions.tobytes()).hexdigest()[:24]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(self.folder / f"{name}.safetensors") as written:
                save_file(tensors, written, {"identity": self.identity})
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"features cannot be written to {self.folder}: {error}; free space or set BENCH_CACHE"
            ) from error


def pool_cache(backbone: Backbone, revision: str, spec: RunSpec, split: str, device_kind: str) -> FeatureCache:
    """Where the features of a task's pool are kept, the same for all runs that share them.

    The key holds all that a record's identity says of features, so that a record is never computed from features that
    another version of a library, a plugin or the harness made.

    Args:
        backbone: The encoder.
        revision: Revision of the task's data.
        spec: One of the runs: its task, backbone and precision.
        split: "support" or "query".
        device_kind: "cpu", "cuda" or "mps".
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
