"""The frozen model's own answer, without any example."""

from torch import Tensor

from bench.contracts import ForwardMethod, Query, Support


class ZeroShot(ForwardMethod):
    """Reads the prior out to scores. What every other method has to beat."""

    uses_support = False
    source = (
        "Radford et al. 2021, Learning Transferable Visual Models From Natural Language Supervision, arXiv 2103.00020"
    )

    def observe(self, support: Support) -> None:
        """Nothing to take in: the harness gives this method the query alone."""

    def predict(self, query: Query) -> Tensor:
        """Scores ``[episode, item, way]`` of the prior."""
        return self.backbone.readout(query.prior, query.classes)


PLUGIN = ZeroShot
