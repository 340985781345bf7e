"""The frozen model's own answer, without any example."""

from typing import cast

from bench.contracts import LANGUAGE, Answers, ForwardMethod, InputMode, Kind, LanguageBackbone, Query, Support


class ZeroShot(ForwardMethod):
    """InputMode the prior out to scores. What every other method has to beat."""

    kinds = frozenset(Kind)
    uses_support = False
    source = (
        "Radford et al. 2021, Learning Transferable Visual Models From Natural Language Supervision, arXiv 2103.00020"
    )

    @classmethod
    def input_mode_for(cls, kind: Kind) -> InputMode:
        """Inputs where a language model answers: an answer may be several tokens, which no feature stands for."""
        return InputMode.INPUTS if kind in LANGUAGE else InputMode.FEATURES

    def observe(self, support: Support) -> None:
        """Nothing to take in: the harness gives this method the query alone."""

    def predict(self, query: Query) -> Answers:
        """Scores ``[episode, item, way]`` of the prior, or what the language model answers."""
        if self.shape.kind in LANGUAGE:
            return cast(LanguageBackbone, self.backbone).answer(query, self.shape.kind, self.shape.protocol)
        return self.backbone.class_logits(query.prior, query.classes)


PLUGIN = ZeroShot
