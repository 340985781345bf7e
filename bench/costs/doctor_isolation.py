"""Checks behind ``bench doctor`` of what a method can reach: query labels, and the frozen backbone."""

import gc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.contracts import Pool, TaskData
from bench.costs.finding import Finding
from bench.data.batches import EpisodeSource
from bench.data.episodes import Episodes, EpisodeSpec, draw_episodes
from bench.data.features import FeatureTable
from bench.data.payload import EpisodePayload, payload_of
from bench.engine.frozen import BackboneChangedError, frozen
from bench.engine.worker import ForkedWorker

ITEMS = 32
"""Items of each class in each pool of the made-up task."""


def label_isolation(worker: ForkedWorker) -> Iterator[Finding]:
    """Check that a process that answers queries has no query labels in its memory, while this one has.

    Args:
        worker: A worker with any backbone.

    Yields:
        Number of objects with query labels in a worker process that was sent episodes of a made-up task.
    """
    labels = np.arange(2 * ITEMS) // ITEMS
    support, query = (Pool.of_texts([f"{split} {item}" for item in range(len(labels))]) for split in "sq")
    data = TaskData(replace(support, labels=labels), replace(query, labels=labels), ("no", "yes"), "made up")
    episodes = draw_episodes(data, EpisodeSpec("made up", 0, 2, 4, 8, None))
    tables = (FeatureTable(split, np.full(len(labels), -1)) for split in ("support", "query"))
    source = EpisodeSource(data, nn.Identity(), torch.empty(2, 0), *tables)  # type: ignore[arg-type]
    found = worker.call(_labelled_queries, payload_of(source, episodes))
    here = _labelled_queries(None, payload_of(source, episodes))
    note = "" if here else "the search finds none in this process either, where there are some"
    yield Finding("objects with query labels where queries are answered", 0, found if here else -1, "", 0.0, note=note)


def frozen_backbone() -> Iterator[Finding]:
    """Check that a change of frozen weights is noticed, however it is made.

    Yields:
        Number of changes that were noticed.
    """
    noticed = 0
    for change in (_in_place, _behind_the_counter, _of_mode):
        layer = nn.Linear(64, 64).requires_grad_(False)
        try:
            with frozen(layer, "a method"):
                change(layer)
        except BackboneChangedError:
            noticed += 1
    yield Finding("changes of a frozen backbone that are noticed", 3, noticed, "", 0.0)


def _labelled_queries(_: Any, payload: EpisodePayload) -> int:
    """Number of objects in this process that hold labels of queries."""
    count = 0
    for item in gc.get_objects():
        if type(item) is Episodes:  # isinstance imports what lazy objects stand for
            count += bool((item.query_labels > 0).any())
        elif type(item) is TaskData:
            count += bool((item.query.labels > 0).any())
    return count


def _in_place(layer: nn.Linear) -> None:
    layer.weight[0, 0] += 1e-3


def _behind_the_counter(layer: nn.Linear) -> None:
    layer.bias.data.add_(1e-3)  # the version counter of ``bias`` stays


def _of_mode(layer: nn.Linear) -> None:
    layer.eval()
