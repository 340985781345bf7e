"""Softmax memory of the examples of all support sets so far."""

from methods._block_pairs import MANY
from methods._continual_pairs import ContinualPairs, LastingPairs
from methods.softmax_memory import SoftmaxOnFeatures, SoftmaxPairs


class LastingSoftmaxPairs(LastingPairs, SoftmaxPairs):
    """Pairs that stay."""


class ContinualSoftmaxMemory(ContinualPairs, SoftmaxOnFeatures):
    """Attention over all support sets so far; see ContinualPairs."""

    memory: LastingSoftmaxPairs

    def make_memory(self) -> LastingSoftmaxPairs:
        """An empty store that attends with the configured scale."""
        shape, config, n_way = self.shape, self.config, 0
        if shape.n_support >= MANY:
            self.stores_labels, n_way = True, shape.n_way
        return LastingSoftmaxPairs(
            shape.n_episodes, shape.key_dim, self.memory_dim, config.scale, self.reservoir(), shape.n_support, n_way,
            config.steps,
        )  # fmt: skip


PLUGIN = ContinualSoftmaxMemory
