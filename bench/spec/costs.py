"""Costs of a run by stage, measured on one episode alone in a fresh process; see docs/architecture.md."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from bench.spec.conditions import Conditions


class StageCosts(BaseModel):
    """Costs of one stage of one episode, over all its items.

    Attributes:
        seconds: Median of the repeats.
        seconds_spread: Interquartile range of the repeats, 0 for a single one.
        peak_memory_mb: MiB above the baseline, the highest of the repeats.
        reserved_memory_mb: MiB that the allocator of an accelerator reserved; None on a CPU.
        flops: Floating-point operations of torch; None where they were not counted.
        seconds_low: Lower end of the interval of the median (docs/budgets.md); None for fewer than three repeats.
        seconds_high: Its upper end.
        conditions: Load of the host meanwhile, where the stage was measured apart from the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float = 0.0
    seconds_spread: float = 0.0
    peak_memory_mb: float = 0.0
    reserved_memory_mb: float | None = None
    flops: int | None = None
    seconds_low: float | None = None
    seconds_high: float | None = None
    conditions: Conditions | None = None


class Costs(BaseModel):
    """Costs of one episode that is run alone.

    Attributes:
        encode: Support and query items through the backbone; all 0 for a method that reads inputs, where the backbone
            counts in the other stages.
        adapt: Adapting to the support set.
        query: Answering all queries.
        encode_sample: Items that the encode stage was measured on, of the ``n_support + n_queries`` items.
        encode_wall_seconds: Seconds of encoding in this run for all runs of its group; 0 where everything was cached.
        n_support: Support items.
        n_queries: Query items.
        state_mb: MiB of the state that answers need.
        optimizer_mb: MiB of the optimizer beside the parameters.
        trainable_params: Parameters that adapting trains.
        steps: Optimizer steps.
        tokens: Tokens of the support set through a language model, padding included.
        memory_meter: Meter of the peak memory.
        device: Model of the device; times and memory of two models are not comparable.
        process: Whether the costs were measured in a process of their own.
        repeats: Number of repeats after a first one that does not count; 0 for stages so long that only the first one
            was measured, while operations were counted.
        tuning_trials: Trials of the search that found the config.
        tuning_seconds: Seconds of that search.
        measured_for: Id of the run that the costs were measured for, where it is another one that differs in nothing
            that costs depend on, such as another seed; empty where it is this run.
        conditions: Host, and its load while adapting and answering were measured; None in earlier records.
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
    measured_for: str = ""
    conditions: Conditions | None = None

    @property
    def company(self) -> tuple[str, ...]:
        """Why the costs count as measured in company, see docs/budgets.md; empty where nothing else ran."""
        parts = [part for part in (self.encode.conditions, self.conditions) if part is not None]
        return tuple(dict.fromkeys(reason for part in parts for reason in part.company))

    @property
    def peak_memory_mb(self) -> float:
        """Highest peak memory of all stages, in MiB above the baseline."""
        return max(self.encode.peak_memory_mb, self.adapt.peak_memory_mb, self.query.peak_memory_mb)

    @property
    def flops(self) -> int | None:
        """Floating-point operations of encoding the support set and adapting; None where they were not counted."""
        if self.adapt.flops is None:
            return None
        return self.adapt.flops + round((self.encode.flops or 0) * self._support_share)

    @property
    def query_milliseconds(self) -> float:
        """Milliseconds per query, its features given."""
        return 1000 * self.query.seconds / max(1, self.n_queries)

    @property
    def time_to_first_query(self) -> float:
        """Seconds until the first query can be answered: the support set encoded, the method adapted."""
        return self.encode.seconds * self._support_share + self.adapt.seconds

    @property
    def seconds_per_query(self) -> float:
        """Seconds per query, from its raw input."""
        return self.encode.seconds / max(1, self.n_support + self.n_queries) + self.query_milliseconds / 1000

    @property
    def _support_share(self) -> float:
        return self.n_support / max(1, self.n_support + self.n_queries)


def break_even_queries(extra_setup_seconds: float, saved_per_query: float) -> float | None:
    """Number of queries above which one method takes less time in total than another.

    Args:
        extra_setup_seconds: Its additional seconds until the first query can be answered.
        saved_per_query: Seconds that it saves per query.

    Returns:
        The number; 0 where it takes no more time for any number of queries, None where it takes more for large numbers.
    """
    if extra_setup_seconds <= 0 and saved_per_query >= 0:
        return 0.0
    # Less time at first and more for each query: ahead only up to a number of queries.
    return extra_setup_seconds / saved_per_query if saved_per_query > 0 else None
