"""The linear probe, trained on with further support sets."""

from dataclasses import replace

from torch import Tensor

from bench.contracts import Backbone, Continual, MethodConfig, ProblemShape, Support
from methods.linear_probe import LinearProbe, LinearProbeConfig


class ContinualLinearProbe(Continual, LinearProbe):
    """Training starts where it ended on the support set before; the objective has the present examples alone.

    W is trained in all dimensions, because that of earlier examples need not lie in the span of the present ones.
    """

    def __init__(self, config: LinearProbeConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, replace(shape, n_support=max(shape.n_support, shape.key_dim)))
        self._start: tuple[Tensor, Tensor] | None = None

    @classmethod
    def continues(cls, config: MethodConfig) -> str | None:
        """Without a prior alone."""
        assert isinstance(config, LinearProbeConfig)
        return None if config.prior == "none" else "the prior's weight needs all examples at once, use prior=none"

    def continue_adapt(self) -> None:
        """Start from the present W and bias."""
        self._start, self._step = (self.weight.clone(), self.bias.clone()), 0

    def begin(self, support: Support) -> None:
        """Find centre and step sizes of these examples, and take up W and bias in their variables."""
        super().begin(support)
        if self._start is None:
            return
        weight, bias = (tensor.double() for tensor in self._start)
        self.inside.data = (weight.mT / self._scale).to(self.inside.dtype)
        self.offset.data = ((bias + self._centre @ weight).mT / self._bias_scale).to(self.offset.dtype)


PLUGIN = ContinualLinearProbe
