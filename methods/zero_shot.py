"""The frozen model's own answer, without any example."""

from typing import cast

from bench.contracts import LANGUAGE, Answers, ForwardMethod, Kind, LanguageBackbone, Query, Reads, Support


class ZeroShot(ForwardMethod):
    """Reads the prior out to scores. What every other method has to beat."""

    kinds = frozenset(Kind)
    uses_support = False
    source = (
        "Radford et al. 2021, Learning Transferable Visual Models From Natural Language Supervision, arXiv 2103.00020"
    )

    @classmethod
    def reads_for(cls, kind: Kind) -> Reads:
        """Inputs where a language model answers: an answer may be several tokens, which no feature stands for."""
        return Reads.INPUTS if kind in LANGUAGE else Reads.FEATURES

    def observe(self, support: Support) -> None:
        """Nothing to take in: the harness gives this method the query alone."""

    def predict(self, query: Query) -> Answers:
        """Scores ``[episode, item, way]`` of the prior, or what the language model answers."""
        if self.setting.kind in LANGUAGE:
            return cast(LanguageBackbone, self.backbone).answer(query, self.setting.kind, self.setting.protocol)
        return self.backbone.readout(query.prior, query.classes)


PLUGIN = ZeroShot
