"""Softmax memory inside a language model, of the tokens of all support sets so far."""

from bench.contracts import Memory
from methods._continual_inside import LastingInside
from methods._pairs import joined
from methods.softmax_memory import CosinePairs, SoftmaxOnHiddenStates


class LastingCosinePairs(CosinePairs):
    """Pairs that stay."""

    def solve(self) -> None:
        """Join the new batches, and put them behind the pairs that were there."""
        earlier = self.keys, self.values, self.mask
        super().solve()
        if self.keys is not earlier[0]:
            pairs = zip(earlier, (self.keys, self.values, self.mask), strict=True)
            self.keys, self.values, self.mask = (joined(pair) for pair in pairs)


class ContinualSoftmaxInside(LastingInside, SoftmaxOnHiddenStates):
    """Every token attends to those of all support sets so far."""

    def make_memory(self, width: int) -> Memory:
        """An empty store that attends with the configured scale; no limit is held in a sequence."""
        return LastingCosinePairs(1, width, width, self.config.scale)


PLUGIN = ContinualSoftmaxInside
