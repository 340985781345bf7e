"""Stores of pairs that go on with further support sets, and that pairs can be taken out of."""

import torch
from torch import Tensor

from bench.contracts import MethodConfig, Removing, Support
from methods._held_out import draws
from methods._pairs import StoredPairs, joined
from methods._prior_strength import StoredPairsConfig, StoredPairsMethod


class LastingPairs(StoredPairs):
    """Pairs of all support sets so far, each with its draw, by which it can be found again."""

    _names: Tensor | None = None
    """``[episode, item]``, draws of all pairs."""

    def solve(self) -> None:
        """Join the new batches, and put them behind the pairs that were there."""
        earlier, names = (self.keys, self.values, self.mask), self._names
        super().solve()
        if self.keys is not earlier[0]:
            self._names = self._draws
            if names is not None and self._draws is not None:
                pairs = zip(earlier, (self.keys, self.values, self.mask), strict=True)
                self.keys, self.values, self.mask = (joined(pair) for pair in pairs)
                self._names = joined([names, self._draws])
        self._draws = self._names

    def remove(self, gone: Tensor, mask: Tensor) -> None:
        """Drop pairs.

        Args:
            gone: ``[episode, item]``, their draws.
            mask: ``[episode, item]``, False for padding.
        """
        if self._names is None:
            return
        found = ((self._names.unsqueeze(2) == gone.unsqueeze(1)) & mask.unsqueeze(1)).any(dim=2)
        stays = self.mask & ~found
        places = stays.any(dim=0)
        self.mask, self._names = stays[:, places], self._names[:, places]
        padding = ~self.mask.unsqueeze(-1)
        self.keys = self.keys[:, places].masked_fill(padding, 0)
        self.values = self.values[:, places].masked_fill(padding, 0)


class ContinualPairs(Removing, StoredPairsMethod):
    """Queries are compared with the pairs of all support sets so far.

    ``prior_strength=auto`` chooses anew after each, on items of all of them.
    """

    memory: LastingPairs

    @classmethod
    def removes(cls, config: MethodConfig) -> bool:
        """Exactly where N0 is not chosen on items that were set aside."""
        assert isinstance(config, StoredPairsConfig)
        return config.prior_strength != "auto"

    def continue_adapt(self) -> None:
        """Nothing to prepare: the pairs stayed."""
        return

    def solve(self) -> None:
        """Join the batches, and keep what N0 is chosen on."""
        kept = self._sample, self._sizes
        super().solve()
        self._sample, self._sizes = kept

    def forget(self, support: Support) -> None:
        """Drop the pairs of a support set."""
        with torch.no_grad():
            self.memory.remove(draws(support, self.shape.seed), support.mask)
            self.count -= support.mask.sum(dim=1)
