"""Scores of each stage of a sequence of tasks, on the queries of every task."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bench.contracts.metric import EpisodePredictions, Metric
from bench.contracts.sequence_task import SequenceData
from bench.results.record import Stage

if TYPE_CHECKING:
    from bench.data.batches import EpisodeGroup
    from bench.engine.group_result import GroupAnswers, StageAnswers


def of_own_classes(answers: Sequence["GroupAnswers"], groups: Sequence["EpisodeGroup"]) -> "list[GroupAnswers]":
    """Answers with each query of a sequence answered among the classes of its own task.

    Args:
        answers: Answers of each group of episodes.
        groups: The groups, with the task's data.

    Returns:
        The same answers where the groups are of a single task. Else scores of other classes are the least finite
        number, in stages likewise.
    """
    if not isinstance(groups[0].source.data, SequenceData):
        return list(answers)
    return [
        replace(
            each,
            scores=_restricted(each.scores, group),
            stages=tuple(replace(stage, scores=_restricted(stage.scores, group)) for stage in each.stages),
        )
        for each, group in zip(answers, groups, strict=True)
    ]


def stage_records(metric: Metric, answers: Sequence["GroupAnswers"], groups: Sequence["EpisodeGroup"]) -> list[Stage]:
    """Scores and efforts of each stage.

    Args:
        metric: The metric of all tasks.
        answers: Answers of each group, from ``of_own_classes``.
        groups: The groups, with the task's data.

    Returns:
        The stages, first those of the sequence in order, then those of tasks that were learnt alone; none for a single
        task.
    """
    data = groups[0].source.data
    if not isinstance(data, SequenceData):
        return []
    return [
        _stage(metric, [each.stages[number] for each in answers], groups, data)
        for number in range(len(answers[0].stages))
    ]


def _stage(
    metric: Metric, found: Sequence["StageAnswers"], groups: Sequence["EpisodeGroup"], data: SequenceData
) -> Stage:
    first, n_episodes = found[0], sum(map(len, groups))
    texts = [stage.text_nll for stage in found for _ in stage.text_nll[:1]]
    scores: dict[str, list[float]] = {part.name: [] for part in data.parts}
    for stage, group in zip(found, groups, strict=True):
        for episode in range(len(group)):
            for number, part in enumerate(data.parts):
                own = _queries_of(number, group, data, episode)
                predicted = EpisodePredictions(
                    scores=stage.scores[episode].double().numpy()[own],
                    labels=group.episodes.query_labels[episode][own],
                )
                scores[part.name].append(metric.episode_score(metric.query_values(predicted)))
    return Stage(
        stage=first.stage,
        learnt=data.parts[first.stage - 1].name if first.stage else "",
        start="base" if first.from_base else "sequence",
        scores=scores,
        labels=sum(stage.labels for stage in found) / n_episodes,
        steps=first.steps,
        tokens=first.tokens,
        seconds=sum(stage.seconds for stage in found) / n_episodes,
        text_nll=np.mean(texts, axis=0).tolist() if texts else [],
    )


def _queries_of(number: int, group: "EpisodeGroup", data: SequenceData, episode: int) -> np.ndarray:
    """Columns of an episode's queries of one task."""
    positions = group.episodes.query[episode]
    return np.flatnonzero((positions >= 0) & (data.part_of_query(positions) == number))


def _restricted(scores: Tensor, group: "EpisodeGroup") -> Tensor:
    """``[episode, item, way]`` with the least finite number for the classes of other tasks than the query's."""
    data = group.source.data
    assert isinstance(data, SequenceData)
    own = torch.zeros(len(data.parts), scores.shape[-1], dtype=torch.bool)
    for number, part in enumerate(data.parts):
        own[number, torch.from_numpy(part.classes)] = True
    among = own[torch.from_numpy(data.part_of_query(group.episodes.query).clip(min=0))]
    return scores.where(among, torch.finfo(scores.dtype).min)
