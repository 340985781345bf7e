"""Encoding: forward passes of items through the frozen backbone under Lightning's Trainer."""

import pickle
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from lightning_utilities import apply_to_collection
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from bench.contracts import Backbone, BenchError, DataError, Features, Kind, Pool, StoreError
from bench.data.episodes import Positions
from bench.data.feature_cache import FeatureCache
from bench.data.features import FeatureTable
from bench.engine.parent_death import FORKS, EndsWith
from bench.engine.trainer import DeviceOptions
from bench.meters.stage import StageCost, StageMeter
from bench.toolkit.ordering import length_order

ITEMS_PER_SHARD = 4096
"""Number of items after which encoded features are saved."""


class _Prepared(TorchDataset[tuple[int, Any]]):
    """Inputs prepared in data workers; an unreadable input yields its error."""

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
    """Collation of the readable items of a batch, with the errors of the others.

    Data workers send batches as plain bytes: tensors would travel through shared memory, which is small in containers.
    """

    def __init__(self, backbone: Backbone, packed: bool) -> None:
        self.backbone, self.packed = backbone, packed

    def __call__(self, rows: list[tuple[int, Any]]) -> tuple[list[int], Any, dict[int, BenchError]]:
        good = [(position, item) for position, item in rows if not isinstance(item, DataError)]
        broken: dict[int, BenchError] = {position: item for position, item in rows if isinstance(item, DataError)}
        batch = self.backbone.collate([item for _, item in good]) if good else None
        if self.packed:
            batch = pickle.dumps(batch)
        return [position for position, _ in good], batch, broken


class _Encoder(LightningModule):
    """The frozen backbone as a module for ``Trainer.predict``."""

    def __init__(
        self, backbone: Backbone, meter: StageMeter, advance: Callable[[int], None], in_this_thread: bool
    ) -> None:
        super().__init__()
        self.backbone, self.meter, self.advance, self.in_this_thread = backbone, meter, advance, in_this_thread
        self.broken: dict[int, BenchError] = {}
        self.parts: list[tuple[list[int], Tensor, Tensor]] = []
        self.features: Features | None = None

    def on_before_batch_transfer(
        self, batch: tuple[list[int], Any, dict[int, BenchError]], dataloader_idx: int
    ) -> tuple[list[int], Any, dict[int, BenchError]]:
        positions, inputs, broken = batch
        inputs = pickle.loads(inputs) if isinstance(inputs, bytes) else inputs
        if self.device.type == "cuda":
            # Lightning copies from pinned memory while the device goes on with the batch before.
            inputs = apply_to_collection(inputs, Tensor, Tensor.pin_memory)
        return positions, inputs, broken

    def on_predict_start(self) -> None:
        self.meter.start(self.device)

    def on_predict_end(self) -> None:
        if self.parts:
            # Copied once, as each copy waits for the device.
            keys, prior = (torch.cat([part[1] for part in self.parts]), torch.cat([part[2] for part in self.parts]))
            self.features = Features(keys.cpu(), prior.cpu())
        self.meter.stop()

    def predict_step(self, batch: tuple[list[int], Any, dict[int, BenchError]], index: int) -> int:
        positions, inputs, broken = batch
        self.broken.update(broken)
        self.advance(len(positions) + len(broken))
        if not positions:
            return 0
        # With gradients enabled a backbone stays in its caller's thread; no gradient is needed.
        with torch.enable_grad() if self.in_this_thread else nullcontext():
            features = self.backbone.encode(inputs)
        self.parts.append((positions, features.keys.float(), features.prior.float()))
        return len(positions)


def in_parts(backbone: Backbone, pool: Pool, positions: Positions) -> list[Positions]:
    """Items in the order in which they are encoded, in parts of ITEMS_PER_SHARD.

    Args:
        backbone: The frozen backbone.
        pool: Pool that holds the items.
        positions: ``[item]``, positions in the pool, sorted.

    Returns:
        The parts: texts sorted by length, so that batches need little padding; images in their order.
    """
    ordered = positions
    if len(positions) and Kind.TEXT_CLASSIFICATION in backbone.kinds:
        texts = pool.inputs.select(positions)["input"]
        ordered = positions[length_order([len(text) for text in texts])]
    return [ordered[start : start + ITEMS_PER_SHARD] for start in range(0, len(ordered), ITEMS_PER_SHARD)]


@dataclass(frozen=True)
class Encoded:
    """Features and cost of one pass through the backbone.

    Attributes:
        positions: ``[item]``, positions in the pool of the readable items.
        features: Features of these items in the same order; None if no item could be read.
        broken: Errors of the unreadable items, by position.
        cost: Cost of the whole pass, decoding and tokenising included.
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
    in_this_thread: bool = False,
) -> Encoded:
    """Encode items of a pool with the frozen backbone.

    Args:
        backbone: The frozen backbone.
        pool: Pool that holds the items.
        positions: ``[item]``, positions in the pool, encoded in this order; texts sorted by length need less padding.
        devices: Device, precision, batch size and data workers.
        advance: Called with the number of items of each finished batch.
        in_this_thread: Whether the backbone keeps to the calling thread, which a counter of operations observes.

    Returns:
        Features, errors of unreadable items, and the cost.
    """
    encoder = _Encoder(backbone, StageMeter(), advance, in_this_thread)
    loader = DataLoader(
        _Prepared(backbone, pool, positions.tolist()),
        batch_size=devices.batch_size,
        num_workers=devices.workers,
        # Python 3.14 would send the backbone, with weights on a device, to each worker.
        multiprocessing_context="fork" if devices.workers and FORKS else None,
        collate_fn=_Collate(backbone, packed=devices.workers > 0),
        worker_init_fn=EndsWith(),
    )
    devices.trainer().predict(encoder, loader, return_predictions=False)
    encoded = np.asarray([position for part in encoder.parts for position in part[0]], dtype=np.int64)
    return Encoded(encoded, encoder.features, encoder.broken, encoder.meter.cost)


Encoder = Callable[[Backbone, Pool, Positions, DeviceOptions, Callable[[int], None]], Encoded]
"""What encodes: a function with the first parameters of ``encode``."""


def encode_missing(
    backbone: Backbone,
    pool: Pool,
    table: FeatureTable,
    positions: Positions,
    cache: FeatureCache,
    devices: DeviceOptions,
    advance: Callable[[int], None],
    warn: Callable[[str], None],
    encoder: Encoder = encode,
) -> float:
    """Encode the items that a table lacks, and add them to the table and to the cache.

    The features are saved after every ITEMS_PER_SHARD items, so that an interrupted pass loses little. Saved features
    take no memory.

    Args:
        backbone: The frozen backbone.
        pool: Pool that holds the items.
        table: Features of the pool so far; extended in place.
        positions: ``[item]``, positions in the pool of the items that are needed.
        cache: Cache of the pool's features.
        devices: Device, precision, batch size and data workers.
        advance: Called with the number of items of each finished batch.
        warn: Called with a message if the cache cannot be written; the next run then encodes these items again.
        encoder: What encodes; a function with the parameters of ``encode``.

    Returns:
        Seconds of encoding, 0.0 if no item was missing.
    """
    seconds = 0.0
    for part in in_parts(backbone, pool, table.missing(positions).astype(np.int64)):
        done = encoder(backbone, pool, part, devices, advance)
        seconds += done.cost.seconds
        table.broken.update(done.broken)
        if done.features is None:
            continue
        table.add(done.positions, done.features)
        usable = table.row[done.positions] >= 0
        try:
            if usable.any():
                table.stored(cache.save(done.positions[usable], table.last()))
        except StoreError as error:
            warn(str(error))
    return seconds


def free_device(backbone: Backbone) -> None:
    """Move a backbone to the host's memory: costs are measured in other processes, which need the device's.

    Args:
        backbone: The backbone, after encoding.
    """
    backbone.cpu()
    torch.cuda.empty_cache()
