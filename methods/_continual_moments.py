"""Sums over support sets that stay when they have been solved, for methods that go on with a further one."""

from typing import Any

from bench.contracts import Removing, Support
from methods._held_out import Sample
from methods._moments import Moments, Observed


class LastingObserved(Observed):
    """Moments of all support sets so far, whatever their number of items."""

    @classmethod
    def like(cls, observed: Observed) -> "LastingObserved":
        """Empty moments of the same shapes.

        Args:
            observed: What a method keeps of a single support set.

        Returns:
            The moments.
        """
        made = cls(observed.shape, observed.width, observed.expand)
        made.streams = True
        return made

    def remove(self, support: Support) -> None:
        """Subtract the moments of some items. Those that were set aside to choose hyper-parameters by stay so.

        Args:
            support: Items that were observed.
        """
        batch, sums = Sample.of(support, self.shape.seed), self._sums
        if sums is not None:
            gone: Moments = self._moments(batch.keys, batch.labels, batch.mask)
            self._sums = sums - gone


class ContinualMoments(Removing):
    """Base of methods that are solved from the moments of all support sets so far."""

    _observed: Any

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._observed: LastingObserved = LastingObserved.like(self._observed)

    def continue_adapt(self) -> None:
        """Nothing to prepare: the sums stayed."""
        return

    def solve(self) -> None:
        """Fit all examples so far, and keep their sums."""
        kept = self._observed
        super().solve()  # type: ignore[misc]
        self._observed = kept

    def forget(self, support: Support) -> None:
        """Subtract the sums of a support set."""
        self._observed.remove(support)
