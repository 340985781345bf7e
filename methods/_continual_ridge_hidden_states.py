"""Ridge maps inside a language model that go on from their sums."""

from bench.contracts import Memory, MethodConfig
from methods._continual_inside import RemovingInside
from methods.ridge import RidgeMemory, RidgeOnHiddenStates, RidgeOnHiddenStatesConfig


class LastingRidge(RidgeMemory):
    """A ridge map with sums that stay after ``solve``."""

    def solve(self) -> None:
        """Fit all pairs so far, and keep their sums."""
        kept = self._sums
        super().solve()
        self._sums = kept

    def remove(self, other: "LastingRidge") -> None:
        """Subtract the sums of another memory, whose pairs are in this one."""
        self._sums.subtract(other._sums)


class ContinualRidgeInside(RemovingInside, RidgeOnHiddenStates):
    """The ridge maps of the tokens of all support sets so far."""

    @classmethod
    def removes(cls, config: MethodConfig) -> bool:
        """Exactly for pairs that no draw has shuffled."""
        assert isinstance(config, RidgeOnHiddenStatesConfig)
        return config.pairs != "shuffled"

    def make_memory(self, width: int) -> Memory:
        """Empty sums."""
        return LastingRidge(1, width, width, self.config)


PLUGIN = ContinualRidgeInside
