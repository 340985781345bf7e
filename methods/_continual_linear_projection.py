"""The trained linear map of features, trained on with further support sets."""

from bench.contracts import Continual, Support
from methods._held_out import StreamedSample
from methods.linear_projection import ProjectionOnFeatures


class ContinualProjection(Continual, ProjectionOnFeatures):
    """Training starts from the P that was best before, and chooses the best one by the present examples."""

    def continue_adapt(self) -> None:
        """Start from the best P."""
        self.projection.data = self.best.clone()
        self.held, self._step = StreamedSample(self.shape.n_way), 0

    def begin(self, support: Support) -> None:
        """Hold out what can be, and spread the others over the steps that were planned for all support sets."""
        super().begin(support)
        self._size = max(1, -(-self._training.mask.shape[1] // self._per_epoch))


PLUGIN = ContinualProjection
