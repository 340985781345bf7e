"""Linear discriminant analysis that goes on from its sums with further support sets."""

from bench.contracts import Backbone, MethodConfig, ProblemShape, Removing, Support
from methods._continual_moments import LastingObserved
from methods.lda import Lda, LdaConfig


class ContinualLda(Removing, Lda):
    """Class means and one covariance of all support sets so far, from sums over their keys."""

    def __init__(self, config: LdaConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._observed: LastingObserved = LastingObserved.like(self._observed)

    @classmethod
    def removes(cls, config: MethodConfig) -> bool:
        """Exactly with a number for the shrinkage: others are estimated from items that were set aside."""
        assert isinstance(config, LdaConfig)
        return isinstance(config.shrinkage, float) and config.prior == "none"

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


PLUGIN = ContinualLda
