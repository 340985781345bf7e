"""Linear discriminant analysis that goes on from its sums with further support sets."""

from bench.contracts import MethodConfig
from methods._continual_moments import ContinualMoments
from methods.lda import Lda, LdaConfig


class ContinualLda(ContinualMoments, Lda):
    """Class means and one covariance of all support sets so far, from sums over their keys."""

    @classmethod
    def removes(cls, config: MethodConfig) -> bool:
        """Exactly with a number for the shrinkage: others are estimated from items that were set aside."""
        assert isinstance(config, LdaConfig)
        return isinstance(config.shrinkage, float) and config.prior == "none"


PLUGIN = ContinualLda
