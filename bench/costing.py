"""How costs are measured: one episode alone, warmed up, repeated; called in a process of its own.

Nothing here sees a query's label: what is sent here has none.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from torch import Tensor

from bench import planning
from bench.adaptation import Outcome, Plan, adapt_and_answer
from bench.batching import EpisodeGroup, Material
from bench.budget import Budget, Excess, OverBudgetError, excesses
from bench.contracts import (
    AnyMethod,
    Backbone,
    Features,
    GradientMethod,
    Kind,
    LanguageBackbone,
    Limits,
    MethodConfig,
    Pool,
    Reads,
    Setting,
    Task,
    TaskData,
)
from bench.contracts.loading import quiet_datasets
from bench.costs import Costs, StageCosts
from bench.devices import DeviceOptions
from bench.episodes import PADDING, Episodes, Positions
from bench.features import FeatureTable, encode
from bench.flops import FlopMeter
from bench.meter import MIB, StageCost

REPEATS = 5
PATIENCE = 60.0
"""Seconds after which no further repeat is begun; the record tells how many there were."""
COUNTED_STEPS = 4
"""Optimizer steps whose operations are counted; the others are like them."""
SAMPLE = 32
"""Items that encoding is measured on: one batch."""


@dataclass(frozen=True)
class Excerpt:
    """What Material has, without the backbone: of one episode, and small enough to be sent."""

    task: Task
    data: TaskData
    values: Tensor
    support: FeatureTable
    query: FeatureTable

    def on(self, backbone: Backbone) -> Material:
        """The same with a backbone."""
        return Material(self.task, self.data, backbone, self.values, self.support, self.query)


@dataclass(frozen=True)
class Work:
    """One episode for one method, with all that measuring needs and nothing that it must not see.

    excerpt: of this episode alone. encode: what its items cost, all 0 for what reads inputs.
    """

    method: str
    config: MethodConfig
    excerpt: Excerpt
    episodes: Episodes
    reads: Reads
    prior_count: float
    seed: int
    budget: Budget
    encode: StageCosts
    devices: DeviceOptions


@dataclass(frozen=True)
class Measured:
    """What measuring found.

    most_steps: optimizer steps that the budget leaves, None where all are. config: as it was fitted to the budget.
    costs: None where the method was stopped. excesses: limits that were not kept. outcome: what the episode's method
    answered after so many steps, None where the method was stopped.
    """

    costs: Costs | None
    config: MethodConfig
    most_steps: int | None
    excesses: tuple[Excess, ...]
    outcome: Outcome | None = None


def alone(material: Material, episodes: Episodes) -> tuple[Excerpt, Episodes]:
    """The first episode and its items alone, without query labels and query targets."""
    first = episodes[:1]
    data = material.data
    support, support_table = _part(data.support, material.support, first.support)
    query, query_table = _part(replace(data.query, targets=None), material.query, first.query)
    query = replace(query, labels=np.zeros_like(query.labels))
    small = TaskData(support, query, data.classes, data.revision)
    renumbered = Episodes(
        first.classes,
        _renumbered(first.support),
        first.support_labels,
        _renumbered(first.query),
        np.where(first.query == PADDING, PADDING, 0),
    )
    return Excerpt(material.task, small, material.values, support_table, query_table), renumbered


def _renumbered(positions: Positions) -> Positions:
    """The same items by their rank among themselves."""
    real = np.unique(positions[positions != PADDING])
    return np.where(positions == PADDING, PADDING, np.searchsorted(real, positions))


def _chosen(inputs: Dataset, wanted: Positions) -> Dataset:
    """Some inputs, in memory whatever they were read from: another process need not find the files."""
    shown = inputs.format
    with quiet_datasets():
        # As they are stored: a transform that opens files is for whoever reads them.
        stored = inputs.with_format(None).select(wanted).flatten_indices(keep_in_memory=True)
    made: Dataset = stored.with_format(shown["type"], **shown["format_kwargs"])
    return made


def _part(pool: Pool, table: FeatureTable, positions: Positions) -> tuple[Pool, FeatureTable]:
    wanted = np.unique(positions[positions != PADDING])
    if len(wanted) == 0:  # a pool has an item, even one that nobody looks at
        wanted = np.zeros(1, dtype=np.int64)
    inputs = _chosen(pool.inputs, wanted)
    targets = None if pool.targets is None else [pool.targets[position] for position in wanted]
    smaller = FeatureTable(table.split, np.full(len(wanted), PADDING, dtype=np.int64))
    if table.keys.numel() and (table.row[wanted] >= 0).all():
        keys, prior = table.gather(wanted[None])
        smaller.add(np.arange(len(wanted)), Features(keys[0], prior[0]))
    return Pool(inputs, pool.labels[wanted], targets), smaller


def encode_costs(backbone: Backbone, pool: Pool, devices: DeviceOptions) -> StageCosts:
    """What the items of a pool cost to encode."""
    positions = np.arange(len(pool.labels))
    found: list[StageCost] = []
    batch = backbone.collate([backbone.prepare(row["input"]) for row in pool.inputs])
    # With gradients enabled a backbone stays in the thread that the counter sees; nothing here needs one.
    with FlopMeter() as counter, torch.enable_grad():
        backbone.encode(batch)
    repeated(lambda: found.append(encode(backbone, pool, positions, devices).cost))
    return _stage(found[1:] or found, counter.total)


def sample(pools: Sequence[tuple[Pool, Positions]]) -> Pool:
    """SAMPLE of the items at some positions of pools, short and long ones alike."""
    found = concatenate_datasets(
        [pool.inputs.with_format(None).select(np.unique(part[part != PADDING])) for pool, part in pools]
    )
    shown = pools[0][0].inputs.format
    found = found.with_format(shown["type"], **shown["format_kwargs"])
    order = np.arange(len(found))
    if isinstance(found[0]["input"], str):
        order = np.argsort([len(text) for text in found["input"]], kind="stable")
    chosen = order[np.unique(np.linspace(0, len(found) - 1, SAMPLE).astype(int))]
    return Pool(_chosen(found, chosen), np.zeros(len(chosen), dtype=np.int64))


def scaled(cost: StageCosts, share: float) -> StageCosts:
    """The cost of ``share`` times as many items; memory is a batch's and stays."""
    return cost.model_copy(
        update={
            "seconds": cost.seconds * share,
            "seconds_spread": cost.seconds_spread * share,
            "flops": None if cost.flops is None else round(cost.flops * share),
        }
    )


def one_pass(backbone: Backbone, raw: Any, window: int, devices: DeviceOptions) -> StageCosts:
    """What it costs to pass one item through a backbone, which every method that reads inputs does."""
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


def repeated(run: Callable[[], None]) -> None:
    """Once to warm up and REPEATS times, or as often as PATIENCE lasts."""
    began, longest = time.perf_counter(), 0.0
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        run()
        longest = max(longest, time.perf_counter() - start)
        if time.perf_counter() - began + longest > PATIENCE:
            return


def episode_costs(backbone: Backbone, work: Work) -> Measured:
    """What an episode costs within its budget; see Measured."""
    method = planning.method_class(work.method)
    material, budget, config = work.excerpt.on(backbone), work.budget, work.config
    limits = limits_of(budget)
    group = EpisodeGroup(material, work.episodes, work.reads, work.prior_count, work.seed, limits)
    if budget.trainable_params and issubclass(method, GradientMethod) and method.sized_by:
        config, excess = sized(method, config, backbone, group.setting(), budget.trainable_params)
        if excess:
            return Measured(None, config, None, (excess,))

    def run(plan: Plan) -> Outcome:
        def make(of: EpisodeGroup) -> AnyMethod:
            return method(config, backbone, of.setting())  # type: ignore[return-value]

        return adapt_and_answer(make, group, work.devices, plan)

    try:
        # Counting slows a method down, so that it is held to nothing meanwhile.
        began = time.perf_counter()
        counted = run(Plan(min(COUNTED_STEPS, budget.steps or COUNTED_STEPS), counted=True))
        counting_seconds = time.perf_counter() - began
        most_steps = _steps_within(budget, counted, work.encode, group)
        if most_steps == 0:
            flops = counted.step_flops + _encode_flops(work.encode, group)
            return Measured(None, config, None, (Excess("flops", budget.flops or 0.0, flops),))
        outcomes: list[Outcome] = []

        def once() -> None:
            # What the last time took to finish is left for it this time.
            closing = outcomes[-1].closing_seconds if outcomes else 0.0
            outcomes.append(run(Plan(most_steps, budget, closing)))

        # Batches of work that takes so long are large, and what counting and a cold start add to them is little; but
        # writing goes on token by token.
        whole = not counted.steps and not budget.limits() and material.task.kind is not Kind.TRANSLATION
        together = whole and 2 * counting_seconds > PATIENCE
        if not together:
            repeated(once)
    except OverBudgetError as error:
        return Measured(None, config, None, (error.excess,))
    # The first one warmed up, unless it was the only one that there was time for.
    kept = outcomes[1:] or outcomes or [counted]
    costs = _costs(kept, counted, work, group, repeats=0 if together else len(kept))
    over = excesses(budget, costs, statistics.median(outcome.step_seconds for outcome in kept))
    # All other episodes take as many steps as this one did, whatever stopped it.
    held = costs.steps if budget.limits() and costs.steps else None
    answered = next(outcome for outcome in kept if outcome.steps == costs.steps)
    return Measured(costs, config, held, tuple(over), answered)


def limits_of(budget: Budget) -> Limits:
    """What a method itself is told of a budget."""
    return Limits(None if budget.state_mb is None else int(budget.state_mb * MIB), budget.tokens)


def sized(
    method: type[GradientMethod], config: MethodConfig, backbone: Backbone, setting: Setting, limit: int
) -> tuple[MethodConfig, Excess | None]:
    """The config with as many parameters as a limit allows, and what is in the way where none does."""
    field = str(method.sized_by)
    each = method(config.model_copy(update={field: 1}), backbone, setting).trainable_params()
    fitting = limit // each
    if fitting == 0:
        return config, Excess("trainable_params", limit, each)
    most = next(bound.le for bound in type(config).model_fields[field].metadata if hasattr(bound, "le"))
    return config.model_copy(update={field: min(fitting, most)}), None


def _encode_flops(encode: StageCosts, group: EpisodeGroup) -> float:
    """Operations of encoding the support set."""
    n_support, n_queries = _sizes(group)
    return (encode.flops or 0) * n_support / max(1, n_support + n_queries)


def _steps_within(budget: Budget, counted: Outcome, encode: StageCosts, group: EpisodeGroup) -> int | None:
    """Optimizer steps that limits of steps and operations leave; None for all of them."""
    found = [budget.steps] if budget.steps else []
    if budget.flops and counted.steps:
        each = counted.step_flops or counted.adapt_flops
        once = counted.adapt_flops - each * counted.steps + _encode_flops(encode, group)
        found.append(max(0, int((budget.flops - once) // max(1, each))))
    return min(found) if found else None


def _sizes(group: EpisodeGroup) -> tuple[int, int]:
    return int((group.episodes.support != PADDING).sum()), int((group.episodes.query != PADDING).sum())


def _stage(costs: Sequence[StageCost], flops: int | None) -> StageCosts:
    seconds = [cost.seconds for cost in costs]
    quarters = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else [seconds[0]] * 3
    reserved = [cost.reserved_memory_mb for cost in costs if cost.reserved_memory_mb is not None]
    return StageCosts(
        seconds=statistics.median(seconds),
        seconds_spread=quarters[2] - quarters[0],
        peak_memory_mb=max(cost.peak_memory_mb for cost in costs),
        reserved_memory_mb=max(reserved) if reserved else None,
        flops=flops,
    )


def _costs(kept: Sequence[Outcome], counted: Outcome, work: Work, group: EpisodeGroup, repeats: int) -> Costs:
    """Medians of what was kept."""
    n_support, n_queries = _sizes(group)
    steps = int(statistics.median_low([outcome.steps for outcome in kept]))
    last = kept[-1]
    return Costs(
        encode=work.encode,
        adapt=_stage(
            [outcome.adapt for outcome in kept], counted.adapt_flops + counted.step_flops * (steps - counted.steps)
        ),
        query=_stage([outcome.query for outcome in kept], counted.query_flops),
        encode_sample=min(SAMPLE, n_support + n_queries) if work.reads is Reads.FEATURES else 0,
        encode_wall_seconds=0.0,
        n_support=n_support,
        n_queries=n_queries,
        state_mb=last.state_bytes / MIB,
        optimizer_mb=last.optimizer_bytes / MIB,
        trainable_params=last.trainable_params,
        steps=steps,
        tokens=last.tokens,
        memory_meter=last.query.memory_meter,
        process="same",
        repeats=repeats,
    )
