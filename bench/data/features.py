"""Features of the items of a pool: a table in memory.

An unreadable item does not stop the others; it is an error of the runs that need it.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from bench.contracts import BenchError, DataError, Features, NumericalError
from bench.data.episodes import Positions

_UNSEEN = DataError("it was never encoded")


@dataclass
class FeatureTable:
    """Features of one pool of a task, by position; extended as items are encoded.

    Attributes:
        split: "support" or "query".
        row: ``[pool]``, row of each item in ``keys`` and ``prior``, -1 without features.
        broken: Errors of the items that could not be encoded, by position.
    """

    split: str
    row: Positions
    broken: dict[int, BenchError] = field(default_factory=dict)
    _parts: list[Features] = field(default_factory=list, init=False)

    @property
    def keys(self) -> Tensor:
        """``[row, dim_k]``."""
        return self._joined().keys

    @property
    def prior(self) -> Tensor:
        """``[row, dim_v]``."""
        return self._joined().prior

    def _joined(self) -> Features:
        """All features in one piece, made when they are read, so that a pool of many shards is copied once."""
        if not self._parts:
            return Features(torch.empty(0, 0), torch.empty(0, 0))
        if len(self._parts) > 1:
            keys = torch.cat([part.keys for part in self._parts])
            same = all(part.prior is part.keys for part in self._parts)
            self._parts = [Features(keys, keys if same else torch.cat([part.prior for part in self._parts]))]
        return self._parts[0]

    def fits(self, features: Features) -> bool:
        """Whether features are as wide as those of the table.

        Args:
            features: The features.

        Returns:
            True also for an empty table.
        """
        there = self._parts[0] if self._parts else features
        return there.keys.shape[1:] == features.keys.shape[1:] and there.prior.shape[1:] == features.prior.shape[1:]

    def missing(self, positions: Positions) -> Positions:
        """Positions without features.

        Args:
            positions: Positions in the pool, of any shape, -1 where padded.

        Returns:
            ``[item]``, those of them without features, sorted and without repetition.
        """
        distinct: Positions = np.unique(positions[positions >= 0])
        return distinct[self.row[distinct] < 0]

    def add(self, positions: Positions, features: Features) -> None:
        """Add features; items whose features are not finite become broken.

        Args:
            positions: ``[item]``, positions in the pool.
            features: Their features in the same order.
        """
        finite = (features.keys.isfinite().all(-1) & features.prior.isfinite().all(-1)).numpy()
        for position in positions[~finite]:
            self.broken[int(position)] = NumericalError("its features must be finite numbers, got NaN or infinity")
        fresh = finite & (self.row[positions] < 0)
        self.row[positions[fresh]] = sum(len(part.keys) for part in self._parts) + np.arange(int(fresh.sum()))
        if not fresh.all():
            chosen = torch.from_numpy(np.flatnonzero(fresh))
            features = Features(features.keys[chosen], features.prior[chosen])
        # A backbone like CLIP, whose prior is its key: one tensor, so that it is stored, sent and moved once.
        same = features.prior.shape == features.keys.shape and bool((features.prior == features.keys).all())
        self._parts.append(Features(features.keys, features.keys) if same else features)

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

    def gather(self, positions: Positions) -> tuple[Tensor, Tensor]:
        """Features of the items of episodes.

        Args:
            positions: ``[episode, item]``, positions in the pool, -1 where padded.

        Returns:
            Keys ``[episode, item, dim_k]`` and priors ``[episode, item, dim_v]``, 0 where padded; one tensor where
            the table's are one.

        Raises:
            DataError: If an item could not be read or was never encoded.
            NumericalError: If the features of an item are not finite.
        """
        self.require(positions)
        rows = torch.from_numpy(np.where(positions >= 0, self.row[np.maximum(positions, 0)], -1))
        padded = rows < 0
        rows, joined, some = rows.clamp(min=0), self._joined(), bool(padded.any())

        def taken(features: Tensor) -> Tensor:
            found = features[rows]
            return found.masked_fill_(padded.unsqueeze(-1), 0.0) if some else found

        keys = taken(joined.keys)
        return keys, keys if joined.prior is joined.keys else taken(joined.prior)
