"""The frozen model's own answer, without any example."""

from bench.contracts import (
    CLASSIFICATION,
    LANGUAGE,
    Answers,
    Backbone,
    ForwardMethod,
    InputMode,
    Kind,
    LanguageBackbone,
    Query,
    Support,
)


class ZeroShot(ForwardMethod):
    """Scores of the zero-shot prior: the answers of a language model, the class logits of an encoder's prior."""

    kinds = frozenset(Kind)
    family = "none"
    needs_language_model = LANGUAGE - CLASSIFICATION
    uses_support = False
    source = (
        "Radford et al. 2021, Learning Transferable Visual Models From Natural Language Supervision, arXiv 2103.00020"
    )

    @classmethod
    def input_mode_for(cls, kind: Kind, backbone: type[Backbone]) -> InputMode:
        """Inputs where a language model answers: an answer may be several tokens, which no feature stands for."""
        answers = kind in LANGUAGE and issubclass(backbone, LanguageBackbone)
        return InputMode.INPUTS if answers else InputMode.FEATURES

    def observe(self, support: Support) -> None:
        """Nothing to take in: the harness gives this method the query alone."""

    def predict(self, query: Query) -> Answers:
        """Scores ``[episode, item, way]`` of the prior, or what the language model answers."""
        if self.shape.kind in LANGUAGE and isinstance(self.backbone, LanguageBackbone):
            return self.backbone.answer(query, self.shape.kind, self.shape.protocol)
        return self.backbone.class_logits(query.prior, query.classes)


PLUGIN = ZeroShot
