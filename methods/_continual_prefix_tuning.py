"""Prefix tuning, trained on with further support sets."""

from bench.contracts import MethodConfig
from methods._continual_training import TrainedOn
from methods.prefix_tuning import PrefixConfig, PrefixTuning


class ContinualPrefixTuning(TrainedOn, PrefixTuning):
    """The keys and values of earlier support sets are trained on; see TrainedOn."""

    @classmethod
    def continues(cls, config: MethodConfig) -> str | None:
        """Where a prefix neither starts from a support set nor stands for one."""
        assert isinstance(config, PrefixConfig)
        if config.start == "support" or config.loss == "distil":
            return "start=support and loss=distil put one support set into the prefix, leave them out"
        return None


PLUGIN = ContinualPrefixTuning
