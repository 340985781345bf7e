"""What a run costs: by stage, as one episode alone in a fresh process shows it; see docs/architecture.md."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class StageCosts(BaseModel):
    """One stage of one episode, over all its items.

    seconds: median of the repeats; seconds_spread: their interquartile range, 0 for a single one.
    peak_memory_mb: MiB above the baseline, the highest of the repeats. reserved_memory_mb: what the allocator of an
    accelerator held for it, None on a CPU. flops: floating-point operations of torch, None where they were not counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float = 0.0
    seconds_spread: float = 0.0
    peak_memory_mb: float = 0.0
    reserved_memory_mb: float | None = None
    flops: int | None = None


class Costs(BaseModel):
    """What one episode, run alone, costs.

    encode: support and query items through the backbone, all 0 for a method that reads inputs; the backbone then
    counts in the other stages. It is measured on ``encode_sample`` of the ``n_support + n_queries`` items.
    encode_wall_seconds: what encoding took in this very run for all runs of its group, 0 where everything was cached.
    state_mb: what must be kept to answer the next query. optimizer_mb: what the optimizer kept beside the parameters.
    steps: optimizer steps. tokens: tokens of the support set that went through a language model, padding included.
    device: model of the device; times and memory of two models are not comparable.
    process: whether the costs come from a process of their own. repeats: how often the stages were measured after a
    first time that does not count; 0 where they took so long that they were measured that first time, while operations
    were counted. tuning_trials, tuning_seconds: of the search that its config came from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    encode: StageCosts
    adapt: StageCosts
    query: StageCosts
    encode_sample: int
    encode_wall_seconds: float
    n_support: int
    n_queries: int
    state_mb: float
    optimizer_mb: float
    trainable_params: int
    steps: int
    tokens: int
    memory_meter: str
    device: str
    process: Literal["fresh", "same"]
    repeats: int
    tuning_trials: int = 0
    tuning_seconds: float = 0.0

    @property
    def peak_memory_mb(self) -> float:
        """The highest of the stages."""
        return max(stage.peak_memory_mb for stage in (self.encode, self.adapt, self.query))

    @property
    def flops(self) -> int | None:
        """Of encoding the support set and adapting to it; None where they were not counted."""
        if self.adapt.flops is None:
            return None
        return self.adapt.flops + round((self.encode.flops or 0) * self._support_share)

    @property
    def query_milliseconds(self) -> float:
        """Of one query, once its features are there."""
        return 1000 * self.query.seconds / max(1, self.n_queries)

    @property
    def time_to_first_query(self) -> float:
        """What it takes until the first query can be answered: the support set encoded, the method adapted."""
        return self.encode.seconds * self._support_share + self.adapt.seconds

    @property
    def seconds_per_query(self) -> float:
        """What each query takes, from its raw input."""
        return self.encode.seconds / max(1, self.n_support + self.n_queries) + self.query_milliseconds / 1000

    @property
    def _support_share(self) -> float:
        return self.n_support / max(1, self.n_support + self.n_queries)


def break_even_queries(extra_setup_seconds: float, saved_per_query: float) -> float | None:
    """Number of queries from which on a method costs less time in all than another.

    extra_setup_seconds: seconds more until the first query can be answered. saved_per_query: seconds less for each
    query. 0 where it always costs less or the same, None where it never does for good.
    """
    if extra_setup_seconds <= 0 and saved_per_query >= 0:
        return 0.0
    # Cheaper at first and dearer with each query: ahead only up to a number of queries.
    return extra_setup_seconds / saved_per_query if saved_per_query > 0 else None
