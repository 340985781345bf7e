"""In-place test-time training whose fast weights go on with further support sets."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.contracts import Continual, MethodConfig, TextScorer
from methods._continual_inside import Through
from methods.in_place_ttt import InPlaceTtt, InPlaceTttConfig


class ContinualInPlaceTtt(Continual, InPlaceTtt):
    """Later support texts add to the states that earlier ones have left, at the rates set on the first ones.

    Generic texts are read as queries are: by these states, which each text changes for itself with ``scope=both``.
    """

    @classmethod
    def continues(cls, config: MethodConfig) -> str | None:
        """Where support texts change fast weights."""
        assert isinstance(config, InPlaceTttConfig)
        nothing = "scope=query leaves nothing of a support set, use scope=both or scope=support"
        return nothing if config.scope == "query" else None

    def continue_adapt(self) -> None:
        """Keep the rates: what is in the states was added at these."""
        self._rates_by_share = False

    def language_model(self) -> TextScorer:
        """The model with its fast weights, or as it is where no support text was read."""
        read = any(state is not None for state in self.layers.start)
        return Through(self.backbone, self._reading) if read else self.backbone

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Context in which texts are read through the fast weights, without a part in the norms of queries."""
        with self._active():
            yield
        self.layers.forget_measures()


PLUGIN = ContinualInPlaceTtt
