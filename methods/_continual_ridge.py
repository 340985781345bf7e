"""Ridge regression that goes on from its sums with further support sets."""

from bench.contracts import Backbone, MethodConfig, ProblemShape, Removing, Support
from methods._continual_moments import LastingObserved
from methods.ridge import RidgeOnFeatures, RidgeOnFeaturesConfig


class ContinualRidge(Removing, RidgeOnFeatures):
    """``W = (G + lam I)^-1 Q`` of the sums over all support sets so far: the fit to all of them together.

    Without ``lam`` and ``strength``, lam is chosen anew after each support set, on items of all of them.
    """

    def __init__(self, config: RidgeOnFeaturesConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._observed: LastingObserved = LastingObserved.like(self._observed)

    @classmethod
    def removes(cls, config: MethodConfig) -> bool:
        """Exactly where nothing is chosen on items that were set aside."""
        assert isinstance(config, RidgeOnFeaturesConfig)
        return (config.lam is not None or config.strength is not None) and config.prior == "none"

    def continue_adapt(self) -> None:
        """Nothing to prepare: the sums stayed."""
        return

    def solve(self) -> None:
        """Fit all examples so far, and keep their sums."""
        kept = self._observed
        super().solve()
        self._observed = kept

    def forget(self, support: Support) -> None:
        """Subtract the sums of a support set."""
        self._observed.remove(support)


PLUGIN = ContinualRidge
