"""Episodes: seeded, class-balanced draws of support and query sets.

The random stream of an episode depends on task, ways, seed and number of the episode alone; not on the method, the
shots or the number of workers. A further method therefore changes no episode, and the 1-shot support set is the
beginning of the 5-shot one, with the same queries. Queries come in a drawn order, not sorted by class.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bench.contracts import TaskData
from bench.contracts.errors import UsageError
from bench.contracts.sequence_task import SequenceData
from bench.spec.aliases import stream_name
from bench.spec.run_spec import RunSpec
from bench.toolkit.seeds import name_seed

Positions = NDArray[np.int64]
"""Positions of items in a pool, or of classes in a task."""
PADDING = -1
"""Position of a place without an item."""


@dataclass(frozen=True)
class EpisodeSpec:
    """Parameters of a draw of episodes.

    Attributes:
        task: Name of the task.
        seed: Seed of the random streams.
        episodes: Number of episodes.
        shots: Support items per class; None for all of them.
        queries: Query items per class; None for all of them.
        ways: Classes per episode; None for all of them.
    """

    task: str
    seed: int
    episodes: int
    shots: int | None
    queries: int | None
    ways: int | None


@dataclass(frozen=True)
class Episodes:
    """Support and query sets as positions in the task's pools; rows are padded with -1.

    Attributes:
        classes: ``[episode, way]``, class numbers of the task.
        support: ``[episode, item]``, positions in the support pool.
        support_labels: ``[episode, item]``, positions in ``classes``, -1 where padded.
        query: ``[episode, item]``, positions in the query pool.
        query_labels: ``[episode, item]``, positions in ``classes``, -1 where padded.
        stages: Columns of ``support`` of each task of a sequence, in order; empty for a single task.
    """

    classes: Positions
    support: Positions
    support_labels: Positions
    query: Positions
    query_labels: Positions
    stages: tuple[int, ...] = field(default=(), kw_only=True)

    def __len__(self) -> int:
        return len(self.classes)

    def stage_bounds(self) -> list[slice]:
        """Columns of the support set that each task of a sequence has."""
        ends = np.cumsum(self.stages).tolist()
        return [slice(end - width, end) for end, width in zip(ends, self.stages, strict=True)]

    def __getitem__(self, part: slice) -> "Episodes":
        return Episodes(
            self.classes[part],
            self.support[part],
            self.support_labels[part],
            self.query[part],
            self.query_labels[part],
            stages=self.stages,
        )


def _by_class(labels: Positions, n_classes: int) -> list[Positions]:
    ends = np.cumsum(np.bincount(labels, minlength=n_classes))[:-1]
    return np.split(np.argsort(labels, kind="stable"), ends)


def _check(pools: dict[str, list[Positions]], draw: EpisodeSpec, classes: tuple[str, ...]) -> None:
    """Require enough items of every class, so that no choice of classes fails."""
    if draw.shots == 0:
        required: dict[str, int | None] = {"query": draw.queries}
    else:
        required = {"support": draw.shots, "query": draw.queries}
    for split, number in required.items():
        for label, members in enumerate(pools[split]):
            if len(members) == 0:
                raise UsageError(
                    f"{draw.task}: class {classes[label]!r} has no {split} items; every class needs one, "
                    "so add items or remove the class from the data"
                )
            if number is not None and len(members) < number:
                flag = "--shots" if split == "support" else "--queries"
                raise UsageError(
                    f"{draw.task}: class {classes[label]!r} has {len(members)} {split} items, {number} required; "
                    f"use {flag} {len(members)} or fewer"
                )


def _sample(members: Positions, number: int | None, rng: np.random.Generator) -> Positions:
    # Permuting before cutting makes smaller draws the beginning of larger ones.
    order: Positions = rng.permutation(members)
    return order if number is None else order[:number]


def _pad(rows: list[Positions]) -> Positions:
    width = max(len(row) for row in rows)
    return np.stack([np.pad(row, (0, width - len(row)), constant_values=PADDING) for row in rows])


def draw_episodes(data: TaskData, draw: EpisodeSpec) -> Episodes:
    """Draw episodes from the two pools of a task, which share no item.

    Args:
        data: The task's pools and class names.
        draw: Parameters of the draw; ``shots`` 0 gives empty support sets.

    Returns:
        The episodes.

    Raises:
        UsageError: If a class has too few items, or if the number of ways is out of range.
    """
    if isinstance(data, SequenceData):
        return _draw_sequence(data, draw)
    n_classes = len(data.classes)
    n_way = n_classes if draw.ways is None else draw.ways
    if not min(2, n_classes) <= n_way <= n_classes:
        raise UsageError(f"{draw.task} has {n_classes} classes; --ways must lie in 2..{n_classes}, got {n_way}")
    support_pool = _by_class(data.support.labels, n_classes)
    query_pool = _by_class(data.query.labels, n_classes)
    _check({"support": support_pool, "query": query_pool}, draw, data.classes)

    all_classes, rows = [], {"support": [], "support_labels": [], "query": [], "query_labels": []}  # type: ignore[var-annotated]
    for episode in range(draw.episodes):
        rng = np.random.default_rng(name_seed(stream_name(draw.task), n_way, draw.seed, episode))
        chosen = rng.permutation(n_classes)[:n_way] if n_way < n_classes else np.arange(n_classes)
        all_classes.append(chosen)
        # One stream per split, so that the number of shots does not change the queries.
        for split, pool, number in (("support", support_pool, draw.shots), ("query", query_pool, draw.queries)):
            stream = np.random.default_rng(rng.integers(2**63))
            taken = [_sample(pool[label], number, stream) for label in chosen]
            rows[split].append(np.concatenate(taken))
            rows[f"{split}_labels"].append(np.repeat(np.arange(n_way), [len(items) for items in taken]))
        # Queries sorted by class would give the class of the next one away to a method that remembers the last.
        order = np.random.default_rng(rng.integers(2**63)).permutation(len(rows["query"][-1]))
        for name in ("query", "query_labels"):
            rows[name][-1] = rows[name][-1][order]
    padded = {name: _pad(values) for name, values in rows.items()}
    return Episodes(np.stack(all_classes), *padded.values())


def _draw_sequence(data: SequenceData, draw: EpisodeSpec) -> Episodes:
    """Episodes of a sequence: those of each task drawn as if it were alone, support and query sets side by side."""
    parts: dict[str, list[Positions]] = {"support": [], "support_labels": [], "query": [], "query_labels": []}
    for part in data.parts:
        own = draw_episodes(part.data, replace(draw, task=part.name, ways=None))
        for split, start in (("support", part.support_start), ("query", part.query_start)):
            positions, labels = getattr(own, split), getattr(own, f"{split}_labels")
            real = positions != PADDING
            parts[split].append(np.where(real, positions + start, PADDING))
            parts[f"{split}_labels"].append(np.where(real, part.classes[labels], PADDING))
    return Episodes(
        np.tile(np.arange(len(data.classes)), (draw.episodes, 1)),
        *(np.concatenate(each, axis=1) for each in parts.values()),
        stages=tuple(each.shape[1] for each in parts["support"]),
    )


def episode_spec(spec: RunSpec) -> EpisodeSpec:
    """Parameters of the draw of a run.

    Args:
        spec: The run.

    Returns:
        The parameters; shots "full" is None.
    """
    return EpisodeSpec(
        task=spec.task,
        seed=spec.seed,
        episodes=spec.episodes,
        shots=None if spec.shots == "full" else spec.shots,
        queries=spec.queries,
        ways=spec.ways,
    )
