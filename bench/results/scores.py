"""The score of a run and of a row of runs: the mean over episodes of their scores, with its 95% interval.

Tables, pages, comparisons and exports take scores from here or from the record, so that all agree to the last digit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bench import registry
from bench.contracts.kinds import CLASSIFICATION, Kind
from bench.contracts.metric import EpisodePredictions, Metric
from bench.results.predictions import ClassPredictions, QueryPredictions
from bench.results.record import Record
from bench.stats.intervals import LEAST_EPISODES, Floats, Interval, mean_interval

if TYPE_CHECKING:
    from bench.data.batches import EpisodeGroup
    from bench.engine.group_result import GroupAnswers

T = TypeVar("T")


@dataclass(frozen=True)
class Score:
    """A score and its 95% interval, in the metric's unit.

    Attributes:
        value: The mean over episodes.
        interval: The metric's own over the queries of a single episode, and by Student's t over episodes where there
            are several. None with too few items to tell.
    """

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class RunScore:
    """The score of a run with what its record keeps beside it.

    Attributes:
        metric: The metric's name.
        score: Over all episodes.
        episode_scores: Of each episode, in the metric's unit.
        predictions: Values of each query.
        notes: The metric's own facts, such as a signature.
    """

    metric: str
    score: Score
    episode_scores: list[float]
    predictions: QueryPredictions
    notes: dict[str, Any]


def mean_score(episode_scores: Sequence[float] | Floats) -> float:
    """The score of a run, or of a row of several: the mean over episodes, whatever their sizes."""
    return float(np.asarray(episode_scores, dtype=np.float64).mean())


def agrees(value: float, kept: float, tolerance: float = 1e-9) -> bool:
    """Whether a number is the finite one that a record keeps, as ``numpy.isclose`` says it of arrays.

    Args:
        value: The number.
        kept: The record's.
        tolerance: Largest relative difference.

    Returns:
        False also for NaN.
    """
    return abs(value - kept) <= 1e-8 + tolerance * abs(kept)


def row_score(records: Sequence[Record]) -> Score | None:
    """The score of the records of one row, each of a seed; None where nothing was scored."""
    scored = [record for record in records if record.episode_scores]
    scores = np.array([score for record in scored for score in record.episode_scores])
    if len(scores) == 0:
        return None
    passes = len(scored) == len(scores) and (len(scores) < LEAST_EPISODES or scored[0].spec.queries is None)
    own = [known for record in scored if (known := record_interval(record)) is not None] if passes else []
    if len(scores) == 1:
        return Score(mean_score(scores), own[0] if own else None)
    scale = registry.make_metric(scored[0].metric).scale
    found = mean_interval(scores, clusters(scored), scale, sum(record.n_queries for record in scored))
    if own:
        # Single episodes may hold the same queries, as passes over a test set do; theirs is the least uncertainty.
        least = Interval(*(float(np.mean([getattr(each, end) for each in own])) for end in ("low", "high")))
        found = Interval(min(found.low, least.low), max(found.high, least.high)) if found else least
    return Score(mean_score(scores), found)


def record_interval(record: Record) -> Interval | None:
    """The interval that a record keeps."""
    if record.ci_low is None or record.ci_high is None:
        return None
    return Interval(record.ci_low, record.ci_high)


def clusters(records: Sequence[Record]) -> list[int] | None:
    """Seed of each episode of some records, where those of a seed may share random numbers; None where none do.

    The seed draws the episodes of every method, but this makes no two of them alike. Only random numbers that a method
    draws once for many episodes do. Records of earlier schemas do not say; theirs may.

    Returns:
        ``[episode]`` seeds, or None.
    """
    if all(record.shared_draws is False for record in records):
        return None
    return [record.spec.seed for record in records for _ in record.episode_scores]


def score_run(metric: Metric, results: Sequence["GroupAnswers"], groups: Sequence["EpisodeGroup"]) -> RunScore:
    """Score the predictions of all episodes of a run.

    Returns:
        Score, interval, scores of episodes and predictions.

    Raises:
        NumericalError: A prediction is not finite.
    """
    episodes = episodes_of(results, groups)
    values = [metric.query_values(episode) for episode in episodes]
    queries = [row[row >= 0] for group in groups for row in group.episodes.query]
    predictions = QueryPredictions.of(metric.name, queries, values, _classes(episodes, groups))
    scores = [metric.episode_score(each) for each in values]
    # Episodes may share queries, which an interval over all of them would take for different ones.
    if len(values) == 1:
        interval = metric.interval(values[0])
    else:
        interval = mean_interval(np.array(scores), None, metric.scale, len(predictions))
    found = Score(mean_score(scores), interval)
    return RunScore(metric.name, found, scores, predictions, metric.notes(episodes, values))


def _classes(episodes: Sequence[EpisodePredictions], groups: Sequence["EpisodeGroup"]) -> ClassPredictions | None:
    """The right and the predicted class of each query; None in tasks without classes."""
    if groups[0].run.task.kind not in CLASSIFICATION:
        return None
    ways = [row for group in groups for row in group.episodes.classes]
    true = [row[each.labels] for row, each in zip(ways, episodes, strict=True)]
    predicted = [row[each.scores.argmax(axis=-1)] for row, each in zip(ways, episodes, strict=True)]
    return ClassPredictions(groups[0].source.data.classes, np.concatenate(true), np.concatenate(predicted))


def episodes_of(results: Sequence["GroupAnswers"], groups: Sequence["EpisodeGroup"]) -> list[EpisodePredictions]:
    """The predictions of each episode of some groups, with the references they are scored against."""
    return [each for result, group in zip(results, groups, strict=True) for each in _episodes(result, group)]


def _episodes(result: "GroupAnswers", group: "EpisodeGroup") -> list[EpisodePredictions]:
    """The predictions of each episode of a group, without padding."""
    kind = group.run.task.kind
    present = group.episodes.query >= 0
    ends = np.cumsum(present.sum(axis=1))[:-1]

    def split(texts: list[T]) -> list[list[T]]:
        starts = [0, *ends.tolist(), len(texts)]
        return [texts[start:end] for start, end in pairwise(starts)]

    labels = [row[known] for row, known in zip(group.episodes.query_labels, present, strict=True)]
    if kind is Kind.TEXT_GENERATION:
        return [
            EpisodePredictions(labels=own, generated=generated, targets=targets, answer_set=group.run.task.answer_set)
            for own, generated, targets in zip(labels, split(result.texts), split(group.query_targets()), strict=True)
        ]
    scores = [row[known] for row, known in zip(result.scores.double().numpy(), present, strict=True)]
    if kind in CLASSIFICATION:
        return [EpisodePredictions(scores=own, labels=known) for own, known in zip(scores, labels, strict=True)]
    return [
        EpisodePredictions(scores=own, labels=known, texts=texts)
        for own, known, texts in zip(scores, labels, split(group.query_texts()), strict=True)
    ]
