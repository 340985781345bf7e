"""Linear maps inside a language model, trained on with further support sets."""

from bench.contracts import TextScorer
from methods._continual_inside import Through
from methods._continual_training import TrainedOn
from methods.linear_projection import ProjectionOnHiddenStates


class ContinualProjectionInside(TrainedOn, ProjectionOnHiddenStates):
    """The maps of earlier support sets are trained on; see TrainedOn."""

    def language_model(self) -> TextScorer:
        """The model with its maps."""
        return Through(self.backbone, self.hooks_active)


PLUGIN = ContinualProjectionInside
