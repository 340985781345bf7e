"""Nearest class mean that goes on from its class sums with further support sets."""

from bench.contracts import MethodConfig, Removing, Support
from methods._moments import class_sizes, class_sums
from methods._pairs import without_padding
from methods.nearest_mean import NearestMean, NearestMeanConfig


class ContinualNearestMean(Removing, NearestMean):
    """Class means of all support sets so far: a class of two tasks has the mean of both."""

    @classmethod
    def continues(cls, config: MethodConfig) -> str | None:
        """Without a centre alone: examples are scaled around it before they are added up."""
        assert isinstance(config, NearestMeanConfig)
        return "centre=true needs all examples at once, leave it out" if config.centre else None

    @classmethod
    def removes(cls, config: MethodConfig) -> bool:
        """Exactly without a prior, whose weight is chosen on items that were set aside."""
        assert isinstance(config, NearestMeanConfig)
        return config.prior == "none"

    def continue_adapt(self) -> None:
        """Nothing to prepare: the sums stayed."""
        return

    def solve(self) -> None:
        """Means of all examples so far; their sums stay."""
        kept = self._sums, self._sample
        super().solve()
        self._sums, self._sample = kept

    def forget(self, support: Support) -> None:
        """Subtract the class sums of a support set; a class without examples is as one never seen."""
        keys = self._scaled(without_padding(support.keys, support.mask)).double()
        if self._sums is not None:
            self._sums = self._sums - class_sums(keys, support.labels, support.mask, self.shape.n_way)
        self._sizes = self._sizes - class_sizes(support.labels, support.mask, self.shape.n_way)
        self.seen = self._sizes > 0


PLUGIN = ContinualNearestMean
