"""Warming before a measurement: frozen weights are read, and a pass makes what is made once; which pass may do so."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from bench.data.episodes import PADDING, Episodes
from bench.data.payload import EpisodePayload
from bench.engine.split_blocks import local_part

PAGE = 4096
"""Bytes of a page of memory."""
QUERIES = 8
"""Queries of a small pass."""

COMMON = 0.5
"""Share of an episode's items up to which another episode that has them too may run before it in one process."""


def have_much_in_common(episodes: Episodes) -> bool:
    """Whether a method that remembers items could answer an episode from another one.

    Args:
        episodes: The episodes of a run, as they were drawn; two of them stand for all.

    Returns:
        True where more than COMMON of the support items, or of the queries, of the first episode are in the second.
    """
    for positions in (episodes.support, episodes.query):
        first, *others = (np.unique(row[row != PADDING]) for row in positions[:2])
        if others and np.isin(first, others[0]).sum() > COMMON * len(first):
            return True
    return False


def touch_weights(module: nn.Module) -> int:
    """Read a byte of each page of a module's parameters and buffers on the CPU.

    A forked process has no pages of a weights file in its own table until it reads them; the first reader would be
    charged their size.

    Args:
        module: The frozen backbone.

    Returns:
        Bytes of the weights.
    """
    seen: dict[int, torch.UntypedStorage] = {}
    for tensor in map(local_part, (*module.parameters(), *module.buffers())):
        if tensor.device.type == "cpu" and tensor.layout == torch.strided:
            storage = tensor.untyped_storage()
            seen[storage.data_ptr()] = storage
    for storage in seen.values():
        if storage.nbytes():
            raw = torch.empty(0, dtype=torch.uint8).set_(storage)
            raw[::PAGE].max()
            raw[-1].item()
    return sum(storage.nbytes() for storage in seen.values())


def small(payload: EpisodePayload) -> EpisodePayload:
    """An episode cut down to one example of each class and QUERIES queries, for a short pass.

    Args:
        payload: One episode.

    Returns:
        The same pools with the smaller episode.
    """
    whole = payload.episodes
    labels = whole.support_labels[0]
    real = np.flatnonzero(whole.support[0] != PADDING)
    # In a sequence each task has an example of each of its classes.
    stage = np.repeat(np.arange(len(whole.stages)), whole.stages) if whole.stages else np.zeros_like(labels)
    _, first = np.unique((stage * whole.classes.shape[1] + labels)[real], return_index=True)
    columns = np.sort(real[first])
    episodes = Episodes(
        whole.classes,
        whole.support[:, columns],
        whole.support_labels[:, columns],
        whole.query[:, :QUERIES],
        whole.query_labels[:, :QUERIES],
        stages=tuple(np.bincount(stage[columns], minlength=len(whole.stages)).tolist()) if whole.stages else (),
    )
    return replace(payload, episodes=episodes)
