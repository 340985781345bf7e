"""Ridge regression that goes on from its sums with further support sets."""

from bench.contracts import MethodConfig
from methods._continual_moments import ContinualMoments
from methods.ridge import RidgeOnFeatures, RidgeOnFeaturesConfig


class ContinualRidge(ContinualMoments, RidgeOnFeatures):
    """``W = (G + lam I)^-1 Q`` of the sums over all support sets so far: the fit to all of them together.

    Without ``lam`` and ``strength``, lam is chosen anew after each support set, on items of all of them.
    """

    @classmethod
    def removes(cls, config: MethodConfig) -> bool:
        """Exactly where nothing is chosen on items that were set aside."""
        assert isinstance(config, RidgeOnFeaturesConfig)
        return (config.lam is not None or config.strength is not None) and config.prior == "none"


PLUGIN = ContinualRidge
