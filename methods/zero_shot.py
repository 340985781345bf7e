"""The frozen model's own answer, without any example."""

from typing import Literal, cast

from pydantic import Field
from torch import Tensor

from bench.contracts import (
    CLASSIFICATION,
    LANGUAGE,
    Answers,
    Backbone,
    ForwardMethod,
    InputMode,
    Kind,
    LanguageBackbone,
    MethodConfig,
    ProblemShape,
    Query,
    Support,
    UsageError,
)
from methods._calibration import answer_prefix, mean_log_probability


class ZeroShotConfig(MethodConfig):
    """Hyper-parameters of zero-shot answers."""

    calibrate: Literal["none", "content_free", "pmi"] = Field(
        default="none",
        description="What an answer's probability is divided by, in text classification by a language model. none: "
        "nothing. content_free: its mean probability where the text says nothing (Zhao et al. 2021). pmi: its "
        "probability after the end of the prompt alone, from where the text ends (Holtzman et al. 2021).",
    )


class ZeroShot(ForwardMethod):
    """Scores of the zero-shot prior: the answers of a language model, the class logits of an encoder's prior.

    ``calibrate`` takes off a language model's leaning towards some answers, as in ``in_context`` without a
    demonstration. Prompts without content are scored once for all queries, with the first of them.
    """

    Config = ZeroShotConfig
    config: ZeroShotConfig
    kinds = frozenset(Kind)
    family = "none"
    needs_language_model = LANGUAGE - CLASSIFICATION
    uses_support = False
    source = (
        "Radford et al. 2021, Learning Transferable Visual Models From Natural Language Supervision, arXiv 2103.00020; "
        "Zhao et al. 2021, Calibrate Before Use, arXiv 2102.09690; "
        "Holtzman et al. 2021, Surface Form Competition, arXiv 2104.08315 (calibrate)"
    )

    def __init__(self, config: ZeroShotConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._leaning: Tensor | None = None
        if config.calibrate == "none":
            return
        if shape.kind is not Kind.TEXT_CLASSIFICATION or not isinstance(backbone, LanguageBackbone):
            raise UsageError(
                f"calibrate={config.calibrate} needs text classification by a language model, got {shape.kind} by "
                f"{type(backbone).__name__}; leave it out"
            )
        if not shape.content_free:
            raise UsageError(
                f"calibrate={config.calibrate} needs a task with content-free prompts, got one without; leave it out"
            )
        if config.calibrate == "pmi" and not answer_prefix(shape.content_free):
            raise UsageError(
                "calibrate=pmi needs a prompt that goes on after the text, got one that ends with it; "
                "use calibrate=content_free"
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
            found = self.backbone.answer(query, self.shape.kind, self.shape.protocol)
            return found if self.config.calibrate == "none" else self._calibrated(cast(Tensor, found), query)
        return self.backbone.class_logits(query.prior, query.classes)

    def _calibrated(self, scores: Tensor, query: Query) -> Tensor:
        """Scores without the model's leaning; 0 where an item is padding."""
        if self._leaning is None:
            backbone, free = cast(LanguageBackbone, self.backbone), self.shape.content_free
            whole = self.config.calibrate == "content_free"
            prompts, before = (free, self.shape.protocol.instructed()) if whole else ([answer_prefix(free)], "")
            self._leaning = mean_log_probability(backbone.loglikelihood(before, prompts, query.classes.names[0]))
        found = (scores.log_softmax(dim=-1) - self._leaning.to(scores)).log_softmax(dim=-1)
        return found.masked_fill(~query.mask.unsqueeze(-1), 0)


PLUGIN = ZeroShot
