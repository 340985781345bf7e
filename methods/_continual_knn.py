"""k nearest neighbours among the examples of all support sets so far."""

from methods._continual_pairs import ContinualPairs, LastingPairs
from methods.knn import Knn, Neighbours


class LastingNeighbours(LastingPairs, Neighbours):
    """Labelled keys that stay."""


class ContinualKnn(ContinualPairs, Knn):
    """k-NN over all support sets so far; see ContinualPairs."""

    memory: LastingNeighbours

    def make_memory(self) -> LastingNeighbours:
        """An empty store of labelled keys."""
        shape = self.shape
        return LastingNeighbours(
            shape.n_episodes, shape.key_dim, shape.n_way, self.config.k, self.reservoir(), shape.n_support
        )


PLUGIN = ContinualKnn
