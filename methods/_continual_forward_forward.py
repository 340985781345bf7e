"""Forward-Forward, trained on with further support sets."""

from bench.contracts import Continual
from methods.forward_forward import ForwardForward


class ContinualForwardForward(Continual, ForwardForward):
    """Both layers are trained on, the first one first, on the present examples alone."""

    def continue_adapt(self) -> None:
        """Look at the next support set before the first step."""
        self._step = 0


PLUGIN = ContinualForwardForward
