"""Hebbian fast weights that go on from their sum: earlier support sets decay by the pairs of later ones."""

from bench.contracts import Continual
from methods._hebbian_memory import HebbianMemory
from methods.hebbian import HebbianOnFeatures


class LastingHebbian(HebbianMemory):
    """A Hebbian memory with a sum that stays after ``solve``."""

    def solve(self) -> None:
        """Round to float32, and keep the sum."""
        kept = self._sums
        super().solve()
        self._sums = kept


class ContinualHebbian(Continual, HebbianOnFeatures):
    """``M <- decay M + v k^T`` over all support sets in order; within one, pairs come shuffled."""

    memory: LastingHebbian

    def make_memory(self) -> LastingHebbian:
        """Empty fast weights for the problem's shapes."""
        shape = self.shape
        return LastingHebbian(shape.n_episodes, shape.key_dim, shape.value_dim, self.config.decay)

    def continue_adapt(self) -> None:
        """Nothing to prepare: the sum stayed."""
        return


PLUGIN = ContinualHebbian
