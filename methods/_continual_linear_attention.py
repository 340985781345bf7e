"""Linear attention that goes on from its sums with further support sets."""

from bench.contracts import Removing, Support
from methods.linear_attention import LinearAttention, LinearAttentionMemory


class LastingSums(LinearAttentionMemory):
    """Linear attention with sums that stay after ``solve``."""

    def solve(self) -> None:
        """Subtract the mean value of all pairs so far, and keep their sums."""
        kept = self._sums
        super().solve()
        self._sums = kept

    def remove(self, other: "LastingSums") -> None:
        """Subtract the sums of another memory, whose pairs are in this one."""
        if self._sums and other._sums:
            self._sums = [whole - gone for whole, gone in zip(self._sums, other._sums, strict=True)]


class ContinualLinearAttention(Removing, LinearAttention):
    """Attention over all support sets so far, relative to the mean value of all."""

    memory: LastingSums

    def make_memory(self) -> LastingSums:
        """Empty sums for the problem's shapes."""
        return LastingSums(self.shape.n_episodes, self.shape.key_dim, self.memory_dim)

    def continue_adapt(self) -> None:
        """Nothing to prepare: the sums stayed."""
        return

    def forget(self, support: Support) -> None:
        """Subtract the sums of a support set."""
        gone = self.make_memory()
        gone.observe(support.keys, self.stored_values(support), support.mask)
        self.memory.remove(gone)
        self.count -= support.mask.sum(dim=1)


PLUGIN = ContinualLinearAttention
