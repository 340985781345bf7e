"""The score of a run and of a row of runs: the mean over episodes of their scores, with its 95% interval.

Tables, pages, comparisons and exports take scores from here or from the record, so that all agree to the last digit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.contracts.kinds import CLASSIFICATION, Kind
from bench.contracts.metric import EpisodePredictions, Metric
from bench.results.predictions import QueryPredictions
from bench.results.record import Record
from bench.stats.intervals import Floats, episodes_ci95

if TYPE_CHECKING:
    from bench.data.batches import EpisodeGroup
    from bench.engine.adapt import GroupResult


@dataclass(frozen=True)
class Score:
    """A score and the half-width of its 95% interval, in the metric's unit.

    The interval is the metric's own over the queries of a single episode, and over episodes where there are several:
    bootstrap-t from six on, Student's t below. None where a record of an earlier schema has none.
    """

    value: float
    ci95: float | None


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


def row_score(records: Sequence[Record]) -> Score | None:
    """The score of the records of one row, each of a seed; None where nothing was scored."""
    scores = np.array([score for record in records for score in record.episode_scores])
    if len(scores) == 0:
        return None
    if len(scores) == 1:
        (record,) = [record for record in records if record.episode_scores]
        return Score(mean_score(scores), record.ci95)
    seeds = [record.spec.seed for record in records for _ in record.episode_scores]
    return Score(mean_score(scores), episodes_ci95(scores, seeds))


def score_run(metric: Metric, results: Sequence["GroupResult"], groups: Sequence["EpisodeGroup"]) -> RunScore:
    """Score the predictions of all episodes of a run.

    Raises:
        NumericalError: A prediction is not finite.
    """
    episodes = episodes_of(results, groups)
    values = [metric.query_values(episode) for episode in episodes]
    queries = [row[row >= 0] for group in groups for row in group.episodes.query]
    predictions = QueryPredictions.of(metric.name, queries, values)
    scores = [metric.episode_score(each) for each in values]
    # Episodes may share queries, which resampling them all would take for different ones.
    ci95 = metric.ci95(values[0]) if len(values) == 1 else episodes_ci95(np.array(scores), [0] * len(scores))
    return RunScore(metric.name, Score(mean_score(scores), ci95), scores, predictions, metric.notes(episodes, values))


def episodes_of(results: Sequence["GroupResult"], groups: Sequence["EpisodeGroup"]) -> list[EpisodePredictions]:
    """The predictions of each episode of some groups, with the references they are scored against."""
    return [each for result, group in zip(results, groups, strict=True) for each in _episodes(result, group)]


def _episodes(result: "GroupResult", group: "EpisodeGroup") -> list[EpisodePredictions]:
    """The predictions of each episode of a group, without padding."""
    kind = group.run.task.kind
    present = group.episodes.query >= 0
    ends = np.cumsum(present.sum(axis=1))[:-1]

    def split(texts: list[str]) -> list[list[str]]:
        starts = [0, *ends.tolist(), len(texts)]
        return [texts[start:end] for start, end in pairwise(starts)]

    labels = [row[known] for row, known in zip(group.episodes.query_labels, present, strict=True)]
    if kind is Kind.TRANSLATION:
        return [
            EpisodePredictions(labels=own, generated=generated, targets=targets)
            for own, generated, targets in zip(labels, split(result.texts), split(group.query_targets()), strict=True)
        ]
    scores = [row[known] for row, known in zip(result.scores.double().numpy(), present, strict=True)]
    if kind in CLASSIFICATION:
        return [EpisodePredictions(scores=own, labels=known) for own, known in zip(scores, labels, strict=True)]
    return [
        EpisodePredictions(scores=own, labels=known, texts=texts)
        for own, known, texts in zip(scores, labels, split(group.query_texts()), strict=True)
    ]
