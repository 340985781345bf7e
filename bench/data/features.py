"""Features of the items of a pool: a table of parts, in memory or mapped from the files of the cache.

A mapped part costs memory only while its pages are read, and is sent to another process as the path of its file. An
unreadable item does not stop the others; it is an error of the runs that need it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from bench.contracts import BenchError, DataError, Features, NumericalError, StoreError
from bench.contracts.errors import one_line
from bench.data.episodes import Positions

PAGE_ENTRIES = 1024
"""Entries of float32 on a page of memory."""
_UNSEEN = DataError("it was never encoded")


class FeaturePart:
    """Features of some items, in memory or in a file that is mapped when they are read.

    Attributes:
        rows: Number of items.
        key_dim: Width of a key.
        prior_dim: Width of a prior.
        same: Whether priors are the keys, as of a backbone like CLIP: stored, sent and moved once.
        path: The file; None in memory.
    """

    def __init__(self, features: Features, path: Path | None = None) -> None:
        """Describe features.

        Args:
            features: ``[item, dim_k]`` and ``[item, dim_v]``; they are kept unless there is a file.
            path: A file of the cache that has the same features.
        """
        keys, prior = features.keys, features.prior
        self.rows, self.key_dim, self.prior_dim = len(keys), keys.shape[1], prior.shape[1]
        self.same = prior is keys or (prior.shape == keys.shape and bool((prior == keys).all()))
        self.path = path
        self._features = None if path else Features(keys, keys) if self.same else features

    @property
    def features(self) -> Features:
        """The features; those of a file are mapped, and stay so.

        Raises:
            StoreError: If the file is no longer there.
        """
        if self._features is None:
            assert self.path is not None
            try:
                with safe_open(self.path, framework="pt") as file:
                    keys = file.get_tensor("keys")
                    self._features = Features(keys, keys if self.same else file.get_tensor("prior"))
            except Exception as error:  # a damaged file raises almost anything
                raise StoreError(
                    f"cached features in {self.path} cannot be read: {one_line(error)}; run again to encode them anew"
                ) from error
        return self._features

    def __getstate__(self) -> dict[str, Any]:
        """Without features that the receiver can map."""
        return self.__dict__ | ({"_features": None} if self.path else {})


@dataclass
class FeatureTable:
    """Features of one pool of a task, by position; extended as items are encoded.

    Attributes:
        split: "support" or "query".
        row: ``[pool]``, row of each item among those of all parts, -1 without features.
        broken: Errors of the items that could not be encoded, by position.
    """

    split: str
    row: Positions
    broken: dict[int, BenchError] = field(default_factory=dict)
    _parts: list[FeaturePart] = field(default_factory=list, init=False)
    _starts: list[int] = field(default_factory=lambda: [0], init=False)

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def key_dim(self) -> int:
        """Width of a key; 0 for an empty table."""
        return self._parts[0].key_dim if self._parts else 0

    @property
    def prior_dim(self) -> int:
        """Width of a prior; 0 for an empty table."""
        return self._parts[0].prior_dim if self._parts else 0

    @property
    def mapped(self) -> bool:
        """Whether all features lie in files, so that another process of this machine can read them itself."""
        return bool(self._parts) and all(part.path for part in self._parts)

    def fits(self, features: Features) -> bool:
        """Whether features are as wide as those of the table.

        Args:
            features: The features.

        Returns:
            True also for an empty table.
        """
        widths = (features.keys.shape[1], features.prior.shape[1])
        return not self._parts or widths == (self.key_dim, self.prior_dim)

    def missing(self, positions: Positions) -> Positions:
        """Positions without features.

        Args:
            positions: Positions in the pool, of any shape, -1 where padded.

        Returns:
            ``[item]``, those of them without features, sorted and without repetition.
        """
        distinct: Positions = np.unique(positions[positions >= 0])
        return distinct[self.row[distinct] < 0]

    def add(self, positions: Positions, features: Features, path: Path | None = None) -> None:
        """Add features; items whose features are not finite become broken.

        Args:
            positions: ``[item]``, positions in the pool.
            features: Their features in the same order.
            path: File of the cache that has the same features, all of them finite; None for features in memory alone.
        """
        fresh = self.row[positions] < 0
        if path is None:
            finite = (features.keys.isfinite().all(-1) & features.prior.isfinite().all(-1)).numpy()
            for position in positions[~finite]:
                self.broken[int(position)] = NumericalError("its features must be finite numbers, got NaN or infinity")
            fresh &= finite
        if not fresh.all():
            chosen = torch.from_numpy(np.flatnonzero(fresh))
            features, path = Features(features.keys[chosen], features.prior[chosen]), None
        self.row[positions[fresh]] = len(self) + np.arange(int(fresh.sum()))
        self._parts.append(FeaturePart(features, path))
        self._starts.append(len(self) + self._parts[-1].rows)

    def last(self) -> Features:
        """The features that were added last."""
        return self._parts[-1].features

    def stored(self, path: Path) -> None:
        """Give up the memory of the features that were added last, which a file of the cache has.

        Args:
            path: The file, with the same items in the same order.
        """
        self._parts[-1] = FeaturePart(self._parts[-1].features, path)

    def touch(self) -> None:
        """Read an entry of each page of mapped features, so that the first to use them is not charged their size."""
        for part in self._parts:
            if part.path:
                for tensor in {id(each): each for each in (part.features.keys, part.features.prior)}.values():
                    tensor.flatten()[::PAGE_ENTRIES].sum()

    def require(self, positions: Positions) -> None:
        """Require features of all positions.

        Args:
            positions: Positions in the pool, of any shape, -1 where padded.

        Raises:
            DataError: If an item could not be read or was never encoded.
            NumericalError: If the features of an item are not finite.
        """
        distinct = np.unique(positions[positions >= 0])
        bad = {int(position): self.broken.get(int(position), _UNSEEN) for position in self.missing(positions)}
        if bad:
            reasons = list(bad.items())
            named = "; ".join(f"{self.split} item {position}: {reason}" for position, reason in reasons[:3])
            more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
            raise type(reasons[0][1])(
                f"{len(bad)} of the {len(distinct)} {self.split} items of this run cannot be used: {named}{more}; "
                "repair or remove them"
            )

    def gather(self, positions: Positions, pinned: bool = False) -> tuple[Tensor, Tensor]:
        """Features of the items of episodes.

        Args:
            positions: ``[episode, item]``, positions in the pool, -1 where padded.
            pinned: Whether they are to be in memory from which a GPU copies by itself.

        Returns:
            Keys ``[episode, item, dim_k]`` and priors ``[episode, item, dim_v]``, 0 where padded; one tensor where
            those of all parts are one.

        Raises:
            DataError: If an item could not be read or was never encoded.
            NumericalError: If the features of an item are not finite.
            StoreError: If a file of the cache is no longer there.
        """
        padded = positions < 0
        rows = self.row[np.maximum(positions, 0)]
        if ((rows < 0) & ~padded).any():
            self.require(positions)
        rows = np.where(padded, 0, rows)
        keys = self._taken(rows, "keys", self.key_dim, pinned)
        same = all(part.same for part in self._parts)
        prior = keys if same else self._taken(rows, "prior", self.prior_dim, pinned)
        if padded.any():
            padding = torch.from_numpy(padded).unsqueeze(-1)
            for tensor in (keys,) if same else (keys, prior):
                tensor.masked_fill_(padding, 0.0)
        return keys, prior

    def _taken(self, rows: Positions, name: str, width: int, pinned: bool) -> Tensor:
        """``[episode, item, width]``, some rows of a tensor of all parts."""
        if len(self._parts) == 1 and not pinned:
            whole: Tensor = getattr(self._parts[0].features, name)
            return whole[torch.from_numpy(rows)]
        flat = rows.ravel()
        taken = torch.empty(rows.size, width, dtype=torch.float32, pin_memory=pinned)
        filled = taken.numpy()
        place = np.searchsorted(self._starts, flat, side="right") - 1
        order = np.argsort(place, kind="stable")
        for places in np.split(order, np.flatnonzero(np.diff(place[order])) + 1) if len(order) else ():
            number, first = int(place[places[0]]), int(places[0])
            # By numpy, as a batch of a large support set may have a dozen rows of each of hundreds of parts.
            found = getattr(self._parts[number].features, name).numpy()
            wanted = flat[places] - self._starts[number]
            if places[-1] - first == len(places) - 1:
                # Items in the order of their parts are copied once; "clip" lets them be written to where they belong.
                np.take(found, wanted, axis=0, out=filled[first : first + len(places)], mode="clip")
            else:
                filled[places] = found[wanted]
        return taken.view(*rows.shape, width)
