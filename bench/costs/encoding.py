"""Cost of encoding: measured on a sample of items and scaled to the episode."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import Dataset, concatenate_datasets

from bench.contracts import Backbone, LanguageBackbone, Pool
from bench.costs.repeats import repeated, stage_costs
from bench.costs.warm import touch_weights
from bench.data.episodes import PADDING, Positions
from bench.data.payload import in_memory
from bench.engine.encoding import encode
from bench.engine.running import running
from bench.engine.trainer import DeviceOptions
from bench.meters.contention import watched
from bench.meters.flops import FlopMeter
from bench.meters.stage import StageCost, StageMeter
from bench.spec.conditions import Conditions, combined
from bench.spec.costs import StageCosts
from bench.toolkit.ordering import length_order

SAMPLE = 32
"""Items that encoding is measured on: one batch as runs have it (``DeviceOptions.batch_size``)."""
WARMING = 4
"""Items of the pass that does not count."""


def encode_costs(backbone: Backbone, pool: Pool, devices: DeviceOptions) -> StageCosts:
    """Cost of encoding all items of a pool.

    Args:
        backbone: The frozen backbone.
        pool: The items, few enough for one batch.
        devices: Device, precision and batch size.

    Returns:
        Seconds, peak memory and operations of all items together, and the load of the host.
    """
    positions = np.arange(len(pool.labels))
    touch_weights(backbone)
    # A pass that does not count makes what a backbone makes once, such as embeddings of class names. The counted one is
    # the first over all items.
    encode(backbone, pool, positions[:: -(-len(positions) // WARMING)], devices)
    with FlopMeter() as counter:
        encode(backbone, pool, positions, devices, in_this_thread=True)
    conditions: list[Conditions] = []
    with watched(devices.root_device(), conditions):
        costs = repeated(lambda: encode(backbone, pool, positions, devices).cost)
    return stage_costs(costs, counter.total).model_copy(update={"conditions": combined(conditions)})


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
            "seconds_low": None if cost.seconds_low is None else cost.seconds_low * share,
            "seconds_high": None if cost.seconds_high is None else cost.seconds_high * share,
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
    touch_weights(backbone)
    with running(backbone, devices) as device:

        def read() -> StageCost:
            meter = StageMeter()
            meter.start(device)
            for tokens in backbone.tokens([raw], window):
                backbone.decoder(input_ids=tokens.ids, attention_mask=tokens.mask, use_cache=False)
            meter.stop()
            return meter.cost

        read()
        with FlopMeter() as counter:
            read()
        costs = repeated(read)
    return StageCosts(seconds=min(cost.seconds for cost in costs), flops=counter.total)
