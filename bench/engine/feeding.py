"""Large support sets for a GPU: threads read the next batches while it works on those before."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import torch

from bench.contracts import Support
from bench.data.batches import Columns, EpisodeGroup, Feed, PartReader

READERS = 3
"""Threads, and batches that are read ahead: one thread copies more slowly than a GPU takes batches in."""


def feed_for(group: EpisodeGroup, device: torch.device) -> Feed:
    """How batches of a method on features are made.

    Args:
        group: The episodes.
        device: The device that the method works on.

    Returns:
        ``ahead`` for several batches on a GPU; else ``map``, as threads would take cores that the method works with.
    """
    return ahead if device.type == "cuda" and group.streams else map


def ahead(part: PartReader, columns: Iterable[Columns]) -> Iterator[Support]:
    """Batches in pinned memory, in order, some of them read before they are wanted.

    Args:
        part: Reads a batch.
        columns: What each has.

    Yields:
        The batches.
    """
    wanted = iter(columns)
    with ThreadPoolExecutor(READERS, "bench-batches") as readers:
        coming = deque(readers.submit(part, each, pinned=True) for each in islice(wanted, READERS))
        while coming:
            batch = coming.popleft().result()
            coming.extend(readers.submit(part, each, pinned=True) for each in islice(wanted, 1))
            yield batch
