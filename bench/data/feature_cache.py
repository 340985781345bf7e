"""Cache of encoded items on the disk, so that each item is encoded once.

The cache of a pool is a folder named by everything that determines the features (see ``pool_cache``). Each encoding
pass adds one immutable safetensors shard with a checksum, written atomically. Two processes may share a cache: at worst
both encode the same item. A damaged shard is deleted, and its items are encoded anew.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from bench import registry
from bench.contracts import Backbone, Features, StoreError
from bench.contracts.errors import one_line
from bench.data.episodes import Positions
from bench.data.features import FeatureTable
from bench.spec.run_spec import RunSpec
from bench.toolkit.code_hash import code_hash
from bench.toolkit.durable import make_folder, write_atomic
from bench.toolkit.files import cache_folder
from bench.toolkit.temporary import leftovers
from bench.toolkit.tensor_digest import tensor_digest
from bench.toolkit.versions import PROTOCOL, library_versions
from bench.toolkit.work_lock import work_lock

FORMAT = 2
"""Version of the layout of the shards."""
EARLIER = re.compile(r"\.new-.+")
"""Names of temporary folders of the first edition."""
SHARD = re.compile(r"[0-9a-f]{24}\.safetensors")
"""Names of shards; other files in the folder are not read."""
Shard = dict[str, Tensor]
_LAYOUT = {"positions": (torch.int64, 1), "keys": (torch.float32, 2), "prior": (torch.float32, 2)}
"""Type and number of dimensions of each tensor of a shard; without ``prior`` where priors are the keys."""


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
        self._known = set[Path]()

    def load(self, split: str, n_items: int, warn: Callable[[str], None]) -> FeatureTable:
        """Read the cached features of a pool; damaged shards are deleted.

        Args:
            split: "support" or "query".
            n_items: Number of items of the pool.
            warn: Called with one line if shards are damaged or cannot be read.

        Returns:
            A table of the intact features, empty if none are cached.
        """
        _clean_earlier(self.folder.parent)
        leftovers(self.folder, remove=True)
        table = FeatureTable(split, np.full(n_items, -1, dtype=np.int64))
        self._known = set()
        self.update(table, warn)
        return table

    def update(self, table: FeatureTable, warn: Callable[[str], None]) -> None:
        """Add to a table what other processes have saved since it was loaded.

        Args:
            table: The table that this cache loaded last.
            warn: Called with one line if shards are damaged or cannot be read.
        """
        problems = []
        for path in self._shards():
            if path in self._known:
                continue
            self._known.add(path)
            try:
                shard = self._read(path, table)
            except OSError as error:
                problems.append(f"{path.name} cannot be read: {one_line(error)}")
            except ValueError as error:
                problems.append(f"{path.name}: {one_line(error)}")
                self._delete(path)
            else:
                table.add(shard["positions"].numpy(), _features(shard), path)
        if problems:
            more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
            warn(f"damaged features in {self.folder} are encoded anew ({problems[0]}{more})")

    @contextmanager
    def claimed(
        self, what: str, notify: Callable[[str], None], part: Positions | None = None, wait: bool = True
    ) -> Iterator[bool]:
        """Keep other processes from encoding the same items meanwhile, so that none is encoded twice.

        Args:
            what: What is encoded, for processes that wait.
            notify: Called with one line about the process that this one waits for.
            part: ``[item]``, positions in the pool; None for whatever is encoded without parts.
            wait: Whether to wait for another process.

        Yields:
            Whether no other process encodes them; False only where this one does not wait. Where no lock can be made,
            as on a full disk, True at once.
        """
        lock = self.folder.with_suffix(".lock" if part is None else f".{_digest(part)}.lock")
        with ExitStack() as stack:
            claimed = True
            with suppress(OSError):
                claimed = stack.enter_context(work_lock(lock, what, notify, wait))
            yield claimed
            if claimed and part is not None:
                # The next claim of the part finds its features.
                for path in (lock, lock.with_suffix(".json")):
                    with suppress(OSError):
                        path.unlink(missing_ok=True)

    def save(self, positions: Positions, features: Features) -> Path:
        """Write one shard atomically.

        Args:
            positions: ``[item]``, positions in the pool.
            features: Their features in the same order, all of them finite.

        Returns:
            The file.

        Raises:
            StoreError: If the shard cannot be written.
        """
        tensors = {"positions": torch.from_numpy(positions), "keys": features.keys.contiguous()}
        if features.prior is not features.keys:
            tensors["prior"] = features.prior.contiguous()
        path = self.folder / f"{_digest(positions)}.safetensors"
        try:
            make_folder(self.folder)
            content = save(tensors, {"identity": self.identity, "checksum": tensor_digest(tensors)})
            write_atomic(path, content)
        except OSError as error:
            raise StoreError(
                f"features cannot be written to {self.folder}: {error}; free space or set BENCH_CACHE"
            ) from error
        self._known.add(path)
        return path

    def _shards(self) -> list[Path]:
        try:
            return sorted(path for path in self.folder.iterdir() if SHARD.fullmatch(path.name))
        except OSError:  # a pool of which nothing is cached
            return []

    def _read(self, path: Path, table: FeatureTable) -> Shard:
        """The tensors of a shard.

        Returns:
            The tensors by name, checked.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it is not what was written for this pool.
        """
        path.open("rb").close()  # the library's own error does not tell a missing permission from a damaged file
        try:
            with safe_open(path, framework="pt") as file:
                about = file.metadata() or {}
                shard = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 not a dict
        # A damaged header raises almost anything.
        except Exception as error:
            raise ValueError(one_line(error)) from error
        if about.get("identity") != self.identity:
            raise ValueError("it has the features of another pool")
        if {"prior": _LAYOUT["prior"]} | {name: (each.dtype, each.ndim) for name, each in shard.items()} != _LAYOUT:
            raise ValueError("it has other tensors than positions, keys and prior")
        if about.get("checksum") != tensor_digest(shard):
            raise ValueError("its checksum is wrong")
        positions = shard["positions"].numpy()
        if len({len(tensor) for tensor in shard.values()}) > 1 or len(np.unique(positions)) != len(positions):
            raise ValueError("its positions are not one for each item")
        if len(positions) and not 0 <= positions.min() <= positions.max() < len(table.row):
            raise ValueError(f"its positions lie outside of the {len(table.row)} items of the pool")
        if not table.fits(_features(shard)):
            raise ValueError("its features have another width than those of other files")
        return shard

    @staticmethod
    def _delete(path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError:  # a cache that may only be read; its good files are used
            return


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
        "backbone version": registry.backbone_class(spec.backbone).version,
        "data": revision,
        "task": spec.task,
        "prompt": spec.prompt,
        "task code": registry.task_code(spec.task),
        "task version": registry.task_version(spec.task),
        "split": split,
        "precision": spec.precision,
        "device": device_kind,
        "libraries": library_versions(),
        "protocol": PROTOCOL,
    }
    return FeatureCache(cache_folder(), identity)


def _digest(positions: Positions) -> str:
    return hashlib.sha256(positions.tobytes()).hexdigest()[:24]


def _features(shard: Shard) -> Features:
    """The features of a shard, one tensor where priors are the keys."""
    return Features(shard["keys"], shard.get("prior", shard["keys"]))


@cache
def _clean_earlier(pools: Path) -> None:
    """Remove what killed writers of the first edition left in the folders of all pools."""
    with suppress(OSError):
        for pool in list(pools.iterdir()):
            leftovers(pool, EARLIER, remove=True)
