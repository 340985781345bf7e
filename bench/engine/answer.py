"""Answers of a method to the queries of a run's episodes, in a process that has no query labels."""

import json
from dataclasses import dataclass

from pydantic_core import to_jsonable_python

from bench.contracts import Backbone, Limits
from bench.data.batches import EpisodeGroup, episode_groups
from bench.data.payload import EpisodePayload
from bench.engine.adapt import AdaptOptions, adapt_and_answer
from bench.engine.frozen import kept_frozen
from bench.engine.group_result import GroupAnswers
from bench.engine.partial import Keeper, PartialFile
from bench.engine.share import ShareFile, ShareMeter
from bench.engine.stages import adapt_in_stages
from bench.engine.trainer import DeviceOptions
from bench.spec.resolve import ResolvedRun


@dataclass(frozen=True)
class AnswerRequest:
    """Episodes to be answered by a worker process.

    Attributes:
        run: The run.
        payload: Its episodes, without query labels.
        limits: What the run's budget demands of the method itself.
        most_steps: Largest number of optimizer steps; None for the method's own number.
        devices: Device and precision.
        partial: File from which the run goes on, and to which its predictions are written from time to time; None for
            neither.
        texts: Texts by which a sequence of tasks measures what an adapted language model has lost.
        share: File to which the share of the run that is done is written; None for none.
        checked: Whether the backbone is required to stay as it is.
    """

    run: ResolvedRun
    payload: EpisodePayload
    limits: Limits
    most_steps: int | None
    devices: DeviceOptions
    partial: PartialFile | None = None
    texts: tuple[str, ...] = ()
    share: ShareFile | None = None
    checked: bool = True


@dataclass(frozen=True)
class RunAnswers:
    """Predictions of a run.

    Attributes:
        groups: Those of each group of episodes, in the order of ``episode_groups``.
        resumed: Number of groups that an earlier process had answered.
        problem: Why the predictions could not be written while the run was unfinished; empty if they could.
    """

    groups: list[GroupAnswers]
    resumed: int = 0
    problem: str = ""


def answer_episodes(backbone: Backbone, request: AnswerRequest) -> RunAnswers:
    """Adapt to each group of episodes and answer its queries.

    Args:
        backbone: The frozen backbone, loaded in this process.
        request: The episodes.

    Returns:
        Predictions of each group.

    Raises:
        BackboneChangedError: If the method changed the backbone.
        Exception: Whatever the method raises.
    """
    source = request.payload.source(backbone)
    groups = episode_groups(source, request.run, request.payload.episodes, request.limits)
    with kept_frozen(backbone, request.run, request.devices, request.checked) as check:
        answers = request.partial.read() if request.partial is not None else []
        resumed, keeper = len(answers), Keeper(request.partial, check)
        meter = ShareMeter(request.share, len(groups))
        for group in groups[resumed:]:
            meter.group(len(answers))
            answers.append(_answered(group, request, meter))
            keeper.keep(answers)
    return RunAnswers(answers, resumed, keeper.problem)


def _answered(group: EpisodeGroup, request: AnswerRequest, meter: ShareMeter) -> GroupAnswers:
    if group.episodes.stages:
        options = AdaptOptions(request.most_steps, measured=False, texts=request.texts)
        result = adapt_in_stages(group, request.devices, options)
    else:
        options = AdaptOptions(request.most_steps, measured=False, callbacks=meter.callbacks())
        result = adapt_and_answer(group, request.devices, options)
    # As in a file, so that notes of resumed groups equal those of others.
    notes = json.loads(json.dumps(to_jsonable_python(result.notes)))
    return GroupAnswers(
        scores=result.scores, texts=result.texts, losses=result.losses, notes=notes, stages=result.stages
    )
