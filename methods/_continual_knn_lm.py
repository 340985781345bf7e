"""kNN-LM with the tokens of all support sets so far."""

from bench.contracts import Backbone, Continual, ProblemShape, TextScorer
from methods._continual_inside import Through
from methods._neighbours import NeighbourStore
from methods.knn_lm import KnnLm, KnnLmConfig


class LastingStore(NeighbourStore):
    """A store that is built again from all batches so far."""

    def build(self) -> None:
        """Join all that was added, and keep the batches for the next time."""
        kept = list(self._batches)
        super().build()
        self._batches = kept


class ContinualKnnLm(Continual, KnnLm):
    """Neighbours are looked for among the tokens of all support sets so far; no limit is held in a sequence."""

    def __init__(self, config: KnnLmConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.store = LastingStore(self.backbone.width, config.probes)

    def continue_adapt(self) -> None:
        """Nothing to prepare: the tokens stayed."""
        return

    def language_model(self) -> TextScorer:
        """The model with its neighbours, or as it is where nothing is stored."""
        return Through(self.backbone, self.hooks_active) if len(self.store) else self.backbone


PLUGIN = ContinualKnnLm
