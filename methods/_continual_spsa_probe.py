"""The probe of random directions, gone on with further support sets."""

from bench.contracts import Continual
from methods.spsa_probe import SpsaProbe


class ContinualSpsaProbe(Continual, SpsaProbe):
    """The search goes on from W and bias, along new directions; its losses have the present examples alone."""

    def continue_adapt(self) -> None:
        """Look at the next support set before the first step."""
        self._step = 0


PLUGIN = ContinualSpsaProbe
