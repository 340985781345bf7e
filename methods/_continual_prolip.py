"""ProLIP, trained on with further support sets."""

from bench.contracts import Continual
from methods.prolip import Prolip


class ContinualProlip(Continual, Prolip):
    """Training starts from the present projection; the penalty still holds it to the pretrained one."""

    def continue_adapt(self) -> None:
        """Encode the images of the next support set at the first step."""
        self._features = None


PLUGIN = ContinualProlip
