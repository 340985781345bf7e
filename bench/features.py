"""Encode each item once and keep the result.

The cache is a folder per (weights, data revision, split, precision); in it every encoding pass leaves
one immutable safetensors shard, written atomically. Two processes may share it: at worst both encode
the same item. An item that cannot be read does not stop the others; it is named when a run needs it.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from bench.contracts import Backbone, BenchError, DataError, Features, Kind, NumericalError, Pool, StoreError
from bench.devices import DeviceOptions
from bench.episodes import Positions
from bench.meter import StageCost, StageMeter

FORMAT = 1
ITEMS_PER_SHARD = 4096
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

    def __init__(self, root: Path, identity: dict[str, str]) -> None:
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
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".new-") as folder:
                written = Path(folder) / name
                save_file(tensors, written, {"identity": self.identity})
                written.replace(self.folder / f"{name}.safetensors")
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"features cannot be written to {self.folder}: {error}; free space or set BENCH_CACHE"
            ) from error


class _Prepared(TorchDataset[tuple[int, Any]]):
    """Raw inputs made ready in data workers; a broken one comes out as its error."""

    def __init__(self, backbone: Backbone, pool: Pool, positions: Sequence[int]) -> None:
        self.backbone, self.pool, self.positions = backbone, pool, positions

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> tuple[int, Any]:
        position = self.positions[index]
        try:
            return position, self.backbone.prepare(self.pool.inputs[position]["input"])
        except DataError as error:
            return position, error


class _Collate:
    """Batches what could be read and passes on the errors of what could not."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone

    def __call__(self, rows: list[tuple[int, Any]]) -> tuple[list[int], Any, dict[int, BenchError]]:
        good = [(position, item) for position, item in rows if not isinstance(item, DataError)]
        broken: dict[int, BenchError] = {position: item for position, item in rows if isinstance(item, DataError)}
        batch = self.backbone.collate([item for _, item in good]) if good else None
        return [position for position, _ in good], batch, broken


class _Encoder(LightningModule):
    """Runs the frozen backbone over batches under ``Trainer.predict``."""

    def __init__(self, backbone: Backbone, meter: StageMeter, advance: Callable[[int], None]) -> None:
        super().__init__()
        self.backbone, self.meter, self.advance = backbone, meter, advance
        self.broken: dict[int, BenchError] = {}

    def on_predict_start(self) -> None:
        self.meter.start(self.device)

    def on_predict_end(self) -> None:
        self.meter.stop()

    def predict_step(
        self, batch: tuple[list[int], Any, dict[int, BenchError]], index: int
    ) -> tuple[list[int], Tensor, Tensor] | None:
        positions, inputs, broken = batch
        self.broken.update(broken)
        self.advance(len(positions) + len(broken))
        if not positions:
            return None
        features = self.backbone.encode(inputs)
        return positions, features.keys.float().cpu(), features.prior.float().cpu()


def _by_length(backbone: Backbone, pool: Pool, positions: Positions) -> list[int]:
    """Positions with texts of similar length beside each other, to pad little; images in their order."""
    if Kind.TEXT_CLASSIFICATION in backbone.kinds:
        texts = pool.inputs.select(positions)["input"]
        return [int(positions[i]) for i in sorted(range(len(positions)), key=lambda i: len(texts[i]))]
    return [int(position) for position in positions]


@dataclass(frozen=True)
class Encoded:
    """What came of a pass through the backbone.

    positions: ``[item]``, in the order of features, which are None where no item could be read. broken: why others
    could not be. cost: of the whole pass, decoding and tokenising included.
    """

    positions: Positions
    features: Features | None
    broken: dict[int, BenchError]
    cost: StageCost


def encode(
    backbone: Backbone,
    pool: Pool,
    positions: Positions,
    devices: DeviceOptions,
    advance: Callable[[int], None] = lambda done: None,
) -> Encoded:
    """Items of a pool through the frozen backbone, in the order of ``positions``: texts of like length pad little.

    advance: called with the number of items done.
    """
    encoder = _Encoder(backbone, StageMeter(), advance)
    loader = DataLoader(
        _Prepared(backbone, pool, positions.tolist()),
        batch_size=devices.batch_size,
        num_workers=devices.workers,
        collate_fn=_Collate(backbone),
    )
    answers: list[Any] = devices.trainer().predict(encoder, loader) or []
    parts = [answer for answer in answers if answer is not None]
    if not parts:
        return Encoded(np.empty(0, dtype=np.int64), None, encoder.broken, encoder.meter.cost)
    encoded = np.concatenate([np.asarray(part[0], dtype=np.int64) for part in parts])
    features = Features(torch.cat([part[1] for part in parts]), torch.cat([part[2] for part in parts]))
    return Encoded(encoded, features, encoder.broken, encoder.meter.cost)


def encode_missing(
    backbone: Backbone,
    pool: Pool,
    table: FeatureTable,
    positions: Positions,
    cache: FeatureCache,
    devices: DeviceOptions,
    advance: Callable[[int], None],
    complain: Callable[[str], None],
) -> float:
    """Encode those of ``positions`` that ``table`` lacks, add them to it and to the cache.

    Every ITEMS_PER_SHARD items are kept as soon as they are done, so that an interrupted pass loses little.
    complain: called if the cache cannot be written, which costs the next call time and this one nothing.
    Returns the seconds this took, 0.0 if nothing lacked.
    """
    wanted = np.asarray(_by_length(backbone, pool, table.missing(positions)), dtype=np.int64)
    seconds = 0.0
    for start in range(0, len(wanted), ITEMS_PER_SHARD):
        done = encode(backbone, pool, wanted[start : start + ITEMS_PER_SHARD], devices, advance)
        seconds += done.cost.seconds
        table.broken.update(done.broken)
        if done.features is None:
            continue
        table.add(done.positions, done.features)
        usable = table.row[done.positions] >= 0
        kept = torch.from_numpy(usable)
        try:
            if usable.any():
                cache.save(done.positions[usable], Features(done.features.keys[kept], done.features.prior[kept]))
        except StoreError as error:
            complain(str(error))
    return seconds
