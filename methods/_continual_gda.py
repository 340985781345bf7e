"""Gaussian discriminant analysis that goes on from its sums with further support sets."""

from bench.contracts import MethodConfig
from methods._continual_moments import ContinualMoments
from methods.gda import Gda, GdaConfig


class ContinualGda(ContinualMoments, Gda):
    """Class means and one covariance of all support sets so far, from sums over their keys.

    Without ``alpha``, it is chosen anew after each support set, on items of all of them.
    """

    @classmethod
    def removes(cls, config: MethodConfig) -> bool:
        """Exactly where alpha is not chosen on items that were set aside."""
        assert isinstance(config, GdaConfig)
        return config.alpha is not None or config.prior == "none"


PLUGIN = ContinualGda
