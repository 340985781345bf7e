"""Answers of a method to the queries of a run's episodes, in a process that has no query labels."""

from dataclasses import dataclass

from bench.contracts import Backbone, Limits
from bench.data.batches import episode_groups
from bench.data.payload import EpisodePayload
from bench.engine.adapt import AdaptOptions, GroupResult, adapt_and_answer
from bench.engine.frozen import kept_frozen
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
    """

    run: ResolvedRun
    payload: EpisodePayload
    limits: Limits
    most_steps: int | None
    devices: DeviceOptions


def answer_episodes(backbone: Backbone, request: AnswerRequest) -> list[GroupResult]:
    """Adapt to each group of episodes and answer its queries.

    Args:
        backbone: The frozen backbone, loaded in this process.
        request: The episodes.

    Returns:
        Predictions and costs of each group, in the order of ``episode_groups``.

    Raises:
        BackboneChangedError: If the method changed the backbone.
        Exception: Whatever the method raises.
    """
    source = request.payload.source(backbone)
    groups = episode_groups(source, request.run, request.payload.episodes, request.limits)
    with kept_frozen(backbone, request.run, request.devices):
        return [adapt_and_answer(group, request.devices, AdaptOptions(request.most_steps)) for group in groups]
