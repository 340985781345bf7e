"""FAAST that goes on by adding sums: one joint solve for all support sets so far."""

import torch
from torch import Tensor

from bench.contracts import MethodConfig, Removing, Support
from methods._faast_features import FaastOnFeatures, FaastOnFeaturesConfig
from methods._fast_weights import ALPHA, FastWeights


class LastingFastWeights(FastWeights):
    """Fast weights with sums that stay after ``solve``."""

    def __init__(self, n_episodes: int, key_dim: int, value_dim: int, alpha: float | Tensor) -> None:
        # As many items as dimensions: sums are kept, which do not grow with further support sets.
        super().__init__(n_episodes, key_dim, value_dim, n_items=key_dim, alpha=alpha)

    def solve(self) -> None:
        """Compile all pairs so far, and keep their sums."""
        kept = self._count, self._sums
        super().solve()
        self._count, self._sums = kept

    def remove(self, other: "LastingFastWeights") -> None:
        """Subtract the sums of another memory, whose pairs are in this one."""
        if self._count is not None and other._count is not None:
            self._count = self._count - other._count
            self._sums.subtract(other._sums)


class ContinualFaast(Removing, FaastOnFeatures):
    """The least-squares map of the pairs of all support sets so far; N counts them all, against one N0."""

    memory: LastingFastWeights

    @classmethod
    def continues(cls, config: MethodConfig) -> str | None:
        """With numbers and the exact solver alone."""
        assert isinstance(config, FaastOnFeaturesConfig)
        if config.solver != "exact":
            return "solver=pinv needs all keys at once, use solver=exact"
        if "auto" in {config.alpha, config.prior_strength}:
            return "auto leaves out each example, and those of earlier tasks are gone; give numbers"
        return None

    def make_memory(self) -> LastingFastWeights:
        """Empty sums for the problem's shapes."""
        shape, alpha = self.shape, self.config.alpha
        return LastingFastWeights(shape.n_episodes, shape.key_dim, self.memory_dim, ALPHA if alpha == "auto" else alpha)

    def continue_adapt(self) -> None:
        """Nothing to prepare: the sums stayed."""
        return

    def forget(self, support: Support) -> None:
        """Subtract the sums of a support set."""
        whole = self.memory
        self.memory = self.make_memory()
        with torch.no_grad():
            self.observe(support)
        whole.remove(self.memory)
        self.memory = whole
        # Once for the observation above, once for the one that is taken back.
        self.count -= 2 * support.mask.sum(dim=1)


PLUGIN = ContinualFaast
