"""Nearest stored keys: exactly while they are few, through an inverted file of FAISS when they are many."""

from collections.abc import Iterator
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn

from bench.toolkit.extras import import_extra
from methods._pairs import SCORES_AT_ONCE
from methods._reservoir import Reservoir

EXACT_BELOW = 100_000
"""Least number of keys for which an index is built."""
CELLS_PER_ROOT = 4
"""Cells of an index for each root of its number of keys, as FAISS's own guide has it."""


class NeighbourStore(nn.Module):
    """Keys ``[item, dim]``, each with a token id; finds the nearest by squared L2 distance.

    probes: cells of the index that are looked through for a query. Distances are exact either way; from
    ``EXACT_BELOW`` keys on, a neighbour in another cell can be missed. An accelerator compares all keys: an index is on
    the CPU, where each search would wait for copies, and no meter of the device would see it.
    """

    def __init__(self, key_dim: int, probes: int, reservoir: Reservoir | None = None) -> None:
        super().__init__()
        self.probes = probes
        self._reservoir = reservoir or Reservoir(None, n_way=1, seed=0)
        self._batches: list[tuple[Tensor, ...]] = []
        self._index: Any = None
        self.register_buffer("keys", torch.zeros(0, key_dim))
        self.register_buffer("tokens", torch.zeros(0, dtype=torch.long))

    keys: Tensor
    """Empty where there is an index, which holds its own copy."""
    tokens: Tensor

    def add(self, keys: Tensor, tokens: Tensor) -> None:
        """Keep ``keys [item, dim]`` and ``tokens [item]``, or what a reservoir leaves of them; see ``build``."""
        real = torch.ones(1, len(tokens), dtype=torch.bool)
        self._batches.append((keys.float(), tokens, self._reservoir.draws(real)[0]))
        most = self._reservoir.most(4 * keys.shape[1] + tokens.element_size())
        if most is not None and sum(len(batch[1]) for batch in self._batches) > most:
            together = [torch.cat(parts) for parts in zip(*self._batches, strict=True)]
            draw = together[2][None]
            everything = torch.ones_like(draw, dtype=torch.bool)
            kept = self._reservoir.chosen(draw, torch.zeros_like(everything, dtype=torch.long), everything, most)[0]
            self._batches = [tuple(each[kept.to(each.device)] for each in together)]

    def build(self) -> None:
        """Join what was added, and index it where it is much."""
        if not self._batches:
            return
        keys, tokens, _ = (torch.cat(parts) for parts in zip(*self._batches, strict=True))
        self._batches.clear()
        self.tokens = tokens
        if len(keys) < EXACT_BELOW or keys.device.type != "cpu":
            self.keys = keys
        else:
            self._index = _inverted_file(keys.cpu(), self.probes)

    def __len__(self) -> int:
        return self.tokens.numel()

    @property
    def indexed(self) -> bool:
        """Whether neighbours are looked for in an index."""
        return self._index is not None

    def nbytes(self) -> int:
        """Bytes of keys and tokens, and of the index's centres and numbers."""
        stored = self.keys.nbytes + self.tokens.nbytes
        if self._index is None:
            return stored
        cells: int = self._index.nlist
        return stored + 4 * self.keys.shape[1] * (len(self) + cells) + 8 * len(self)

    def nearest(self, queries: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Squared distances and tokens ``[query, neighbour]`` of the nearest, in no order.

        queries: ``[query, dim]``. There are ``count`` neighbours, or as many as there are keys; the index may find
        fewer, and then fills up with distances of infinity.

        Returns:
            Two tensors ``[query, neighbour]``.
        """
        count = min(count, len(self))
        if self._index is not None:
            distances, places = (torch.from_numpy(each) for each in self._index.search(_rows(queries), count))
            missing = places < 0
            distances = distances.clamp(min=0).masked_fill(missing, torch.inf).to(queries.device)
            return distances, self.tokens[places.clamp(min=0).to(self.tokens.device)]
        found = [part.topk(count, dim=1, largest=False, sorted=False) for part in self._distances(queries)]
        return torch.cat([part.values for part in found]), self.tokens[torch.cat([part.indices for part in found])]

    def _distances(self, queries: Tensor) -> Iterator[Tensor]:
        """``[query, item]``, as many queries at a time as memory allows."""
        lengths = self.keys.square().sum(dim=1)
        for part in torch.split(queries, max(1, SCORES_AT_ONCE // len(self))):
            squares = part.square().sum(dim=1, keepdim=True) + lengths
            yield torch.addmm(squares, part, self.keys.mT, alpha=-2).clamp_(min=0)


def _inverted_file(keys: Tensor, probes: int) -> Any:
    """An index of all keys, whole, in cells around k-means' centres, which are seeded and the same each time."""
    # Imported where it is needed: a small store does without it, and it takes a while.
    faiss = import_extra("faiss")
    width = keys.shape[1]
    cells = CELLS_PER_ROOT * isqrt(len(keys))
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(width), width, cells)
    index.nprobe = min(probes, cells)
    rows = _rows(keys)
    index.train(rows)
    index.add(rows)
    return index


def _rows(tensor: Tensor) -> Any:
    return tensor.cpu().contiguous().numpy()
