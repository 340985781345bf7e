"""Cost of encoding: measured on a sample of items and scaled to the episode."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets

from bench.contracts import Backbone, LanguageBackbone, Pool
from bench.costs.repeats import repeated, stage_costs
from bench.data.episodes import PADDING, Positions
from bench.data.payload import in_memory
from bench.engine.encoding import encode
from bench.engine.trainer import DeviceOptions
from bench.meters.flops import FlopMeter
from bench.meters.stage import StageCost
from bench.spec.costs import StageCosts
from bench.toolkit.ordering import length_order

SAMPLE = 32
"""Items that encoding is measured on: one batch."""


def encode_costs(backbone: Backbone, pool: Pool, devices: DeviceOptions) -> StageCosts:
    """Cost of encoding all items of a pool.

    Args:
        backbone: The frozen backbone.
        pool: The items, few enough for one batch.
        devices: Device, precision and batch size.

    Returns:
        Seconds, peak memory and operations of all items together.
    """
    positions = np.arange(len(pool.labels))
    costs: list[StageCost] = []
    batch = backbone.collate([backbone.prepare(row["input"]) for row in pool.inputs])
    # With gradients enabled a backbone stays in the thread that the counter observes; no gradient is needed.
    with FlopMeter() as counter, torch.enable_grad():
        backbone.encode(batch)
    repeated(lambda: costs.append(encode(backbone, pool, positions, devices).cost))
    return stage_costs(costs[1:] or costs, counter.total)


def sample(pools: Sequence[tuple[Pool, Positions]]) -> Pool:
    """A sample of SAMPLE items, evenly spread over their lengths.

    Args:
        pools: Pools, each with the positions to draw from.

    Returns:
        A pool of these items with all labels 0.
    """
    items = concatenate_datasets(
        [pool.inputs.with_format(None).select(np.unique(part[part != PADDING])) for pool, part in pools]
    )
    shown = pools[0][0].inputs.format
    items = items.with_format(shown["type"], **shown["format_kwargs"])
    order = np.arange(len(items))
    if isinstance(items[0]["input"], str):
        order = np.array(length_order([len(text) for text in items["input"]]))
    chosen = order[np.unique(np.linspace(0, len(items) - 1, SAMPLE).astype(int))]
    return Pool(in_memory(items, chosen), np.zeros(len(chosen), dtype=np.int64))


def scaled(cost: StageCosts, share: float) -> StageCosts:
    """Cost of ``share`` times as many items; the memory is that of one batch and stays."""
    return cost.model_copy(
        update={
            "seconds": cost.seconds * share,
            "seconds_spread": cost.seconds_spread * share,
            "flops": None if cost.flops is None else round(cost.flops * share),
        }
    )


def one_pass(backbone: Backbone, raw: Any, window: int, devices: DeviceOptions) -> StageCosts:
    """Cost of one item's forward pass, which every method that runs the backbone itself pays.

    Args:
        backbone: The frozen backbone.
        raw: The raw input.
        window: Largest number of tokens of one row.
        devices: Device and precision.

    Returns:
        Seconds of the fastest repeat, and operations.
    """
    inputs = Dataset.from_dict({"input": [raw]})
    if not isinstance(backbone, LanguageBackbone):
        return encode_costs(backbone, Pool(inputs, np.zeros(1, dtype=np.int64)), devices)
    backbone.to(devices.trainer().strategy.root_device)
    seconds: list[float] = []

    def read() -> None:
        began = time.perf_counter()
        for tokens in backbone.tokens([raw], window):
            backbone.decoder(input_ids=tokens.ids, attention_mask=tokens.mask, use_cache=False)
        seconds.append(time.perf_counter() - began)

    with torch.no_grad(), FlopMeter() as counter:
        read()
    seconds.clear()
    with torch.no_grad():
        repeated(read)
    return StageCosts(seconds=min(seconds), flops=counter.total)
