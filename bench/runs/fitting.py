"""Draws that fit small data: defaults that shrink, and a warning where too few items show no difference."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.contracts import TaskData
from bench.data.episodes import PADDING, Episodes
from bench.results.run_texts import shots_text
from bench.spec.run_spec import RunSpec
from bench.spec.suite import Block
from bench.stats.intervals import ALPHA, LEAST_EPISODES
from bench.stats.paired import least_p
from bench.toolkit.counted import noun_of

Key = tuple[object, ...]


def draw_key(spec: RunSpec) -> Key:
    """What the episodes of a run are drawn by.

    Args:
        spec: The run.

    Returns:
        The key.
    """
    return *spec.form(), spec.seed, spec.episodes, spec.shots, spec.queries, spec.ways


def _run(spec: RunSpec) -> Key:
    """What a run is, without its settings and limits."""
    return (
        *spec.form(), spec.backbone, spec.method, spec.shots, spec.seed, spec.episodes, spec.queries,
        spec.ways, spec.precision,
    )  # fmt: skip


def limited(spec: RunSpec, data: TaskData) -> RunSpec:
    """A run with no more queries than its limit: fewer episodes first, then fewer queries per class; one at least.

    Args:
        spec: The run.
        data: The data of its task.

    Returns:
        The run; as it is without a limit, and where that has room for all queries.
    """
    if spec.limit is None:
        return spec
    ways = min(spec.ways or len(data.classes), len(data.classes))
    per_episode = len(data.query.labels) if spec.queries is None else spec.queries * ways
    if spec.episodes * per_episode <= spec.limit:
        return spec
    smallest = int(np.bincount(data.query.labels, minlength=len(data.classes)).min())
    queries = max(1, min(smallest if spec.queries is None else spec.queries, spec.limit // ways))
    episodes = max(1, min(spec.episodes, spec.limit // (queries * ways)))
    return spec.model_copy(update={"queries": queries, "episodes": episodes})


def quick_look_note(specs: Iterable[RunSpec]) -> str:
    """What the marks of quick looks mean, in one line.

    Args:
        specs: Runs of any kind.

    Returns:
        The line; empty where no run has a limit.
    """
    limits = sorted({spec.limit for spec in specs if spec.limit is not None})
    if not limits:
        return ""
    return (
        f"a quick look at {' or '.join(map(str, limits))} queries of each run, one of each class at least: its rows "
        "are marked, and count for no check, history or claim"
    )


@dataclass(frozen=True)
class Defaults:
    """Runs whose numbers of queries or episodes are the task's own, and not the user's.

    Attributes:
        queries: Runs with the default number of queries.
        episodes: Runs with the default number of episodes.
    """

    queries: frozenset[Key] = frozenset()
    episodes: frozenset[Key] = frozenset()

    @classmethod
    def of(cls, runs: Iterable[tuple[Block, RunSpec]]) -> "Defaults":
        """Find the runs with default numbers.

        Args:
            runs: Runs with the blocks that they are of.

        Returns:
            The runs.
        """
        found = list(runs)
        return cls(
            frozenset(_run(spec) for block, spec in found if block.queries is None and spec.queries is not None),
            frozenset(_run(spec) for block, spec in found if block.episodes is None and spec.shots != "full"),
        )

    def fitted(self, specs: Sequence[RunSpec], data: TaskData) -> tuple[list[RunSpec], str]:
        """Shrink default numbers that the data have no room for; what a user chose is left as it is.

        Queries per class become those of the smallest class; episodes of such a run, which would have none otherwise,
        become the number of different draws. Runs with room for their queries stay as they are, and so do their ids.

        Args:
            specs: Runs on one task.
            data: Its data.

        Returns:
            The runs in order, and a line about what was shrunk; empty where nothing was.
        """
        changes: dict[str, None] = {}
        room = int(np.bincount(data.query.labels, minlength=len(data.classes)).min())
        fitted = []
        for spec in specs:
            queries = spec.queries
            if _run(spec) in self.queries and queries is not None and 0 < room < queries:
                changes[f"{room} {'query' if room == 1 else 'queries'} per class in place of {queries}"] = None
                queries = room
            fitted.append((spec, queries))
        most = {
            spec.shots: _different_draws(data, spec, queries, spec.episodes)
            for spec, queries in fitted
            if _run(spec) in self.episodes and spec.shots != 0 and queries != spec.queries
        }
        made = []
        for spec, queries in fitted:
            # Without a support set: as many as the others, with which it is compared on the same episodes.
            allowed = most.get(spec.shots, max(most.values(), default=spec.episodes))
            shrinks = _run(spec) in self.episodes and queries != spec.queries
            episodes = min(spec.episodes, allowed) if shrinks else spec.episodes
            if episodes != spec.episodes and spec.shots != 0:
                number = f"{episodes} {'episode' if episodes == 1 else 'different episodes'}"
                changes[f"{number} in place of {spec.episodes} at {shots_text(spec.shots)}"] = None
            made.append(spec.model_copy(update={"queries": queries, "episodes": episodes}))
        line = f"the data have room for {', '.join(changes)}; --queries and --episodes choose others" if changes else ""
        return made, line


def _different_draws(data: TaskData, spec: RunSpec, queries: int | None, enough: int) -> int:
    """Number of different episodes of a run, at most ``enough``."""
    n_classes = len(data.classes)
    found = math.comb(n_classes, n_classes if spec.ways is None else min(spec.ways, n_classes))
    for labels, number in ((data.support.labels, spec.shots), (data.query.labels, queries)):
        for count in np.bincount(labels, minlength=n_classes).tolist():
            if isinstance(number, int) and 0 < number <= count:
                found *= math.comb(count, number)
            if found >= enough:
                return enough
    return found


def warnings_of(specs: Sequence[RunSpec], drawn: Mapping[Key, Episodes]) -> list[str]:
    """Warnings where no difference of two methods, however large, could be set apart from chance.

    Args:
        specs: Runs of any tasks.
        drawn: Their episodes, by ``draw_key``.

    Returns:
        A line for each task, backbone and number of shots with too few items.
    """
    found: dict[str, None] = {}
    compared: dict[Key, list[RunSpec]] = {}
    for spec in specs:
        compared.setdefault((*spec.shared(), spec.ways, spec.queries), []).append(spec)
    for together in compared.values():
        for shots in {spec.shots for spec in together} - {0}:
            # A method without a support set is compared at every number of shots.
            at_shots = [spec for spec in together if spec.shots in {shots, 0}]
            episodes = {spec.seed: drawn[draw_key(spec)] for spec in at_shots if spec.shots == shots}
            if line := _too_few(at_shots, episodes):
                found[f"{at_shots[0].task} at {shots_text(shots)}: {line}"] = None
    return list(found)


def _too_few(specs: Sequence[RunSpec], draws: Mapping[int, Episodes]) -> str:
    """A warning for runs that are compared with each other; empty where there are enough, or nothing to compare."""
    methods = {spec.model_dump_json(exclude={"seed", "episodes"}) for spec in specs}
    pairs = math.comb(len(methods), 2)
    if not pairs:
        return ""
    episodes = sum(map(len, draws.values()))
    positions = np.concatenate([each.query.ravel() for each in draws.values()])
    queries = len(np.unique(positions[positions != PADDING]))
    # Fewer episodes than can be tested as such are tested by their queries.
    units = episodes if episodes >= LEAST_EPISODES else queries
    if least_p(units) * pairs < ALPHA:
        return ""
    needed = next(n for n in range(LEAST_EPISODES, 1000) if least_p(n) * pairs < ALPHA)
    return (
        f"warning: {queries} different queries in {episodes} {noun_of(episodes, 'episode')} cannot tell "
        f"{len(methods)} methods apart, however different they are; {needed} episodes would (more data or --episodes)"
    )
