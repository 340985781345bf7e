"""FAAST's answers for its own examples, each left out in turn, for any cut-off and prior count."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.contracts import Backbone, Classes
from bench.toolkit.least_squares import Spectrum
from bench.toolkit.leave_one_out import LeftOut
from methods._choice import log_likelihoods
from methods._held_out import Sample
from methods._prior_strength import mixed


class FastWeightsLeftOut:
    """One factorisation of a support set, for all that depends on it; see LeftOut.cut_off for what is exact.

    The cut-off is that of all N examples. The share of the memory's answer is that of the N - 1 that are left.

    spectrum, cross: of all pairs. sample: the examples to leave out, among them. stored: ``[E, M, v]``, their values
    in the memory. sizes: ``[E, way]``, examples of each class. class_embeddings: ``[E, way, dim_v]`` where the memory
    stores labels, which they then stand for; None where it stores values.
    """

    def __init__(
        self,
        spectrum: Spectrum,
        cross: Tensor,
        sample: Sample,
        stored: Tensor,
        sizes: Tensor,
        backbone: Backbone,
        classes: Classes,
        class_embeddings: Tensor | None,
    ) -> None:
        self.left_out = LeftOut.of(spectrum, cross, sample.keys.double(), stored.double())
        self.labels, self.prior = sample.labels, sample.prior
        # Without an example of its class the memory cannot but be wrong, which says nothing of its settings.
        self.mask = sample.mask & (sizes.gather(1, sample.labels) > 1)
        self.count = sizes.sum(dim=1)
        self.backbone, self.classes, self.class_embeddings = backbone, classes, class_embeddings
        self._recalled: tuple[float, Tensor] | None = None

    def recalled(self, alpha: float) -> Tensor:
        """``[E, M, dim_v]``, the memory's answers alone."""
        if self._recalled is None or self._recalled[0] != alpha:
            rtol = self.count.clamp(min=1).double() ** -alpha
            answers = self.left_out.cut_off(rtol).to(self.prior.dtype)
            self._recalled = alpha, answers if self.class_embeddings is None else answers @ self.class_embeddings
        return self._recalled[1]

    def scores(self, alpha: float, prior_strength: float) -> Tensor:
        """Scores ``[E, M, way]`` of the mixed answers."""
        others = (self.count - 1).clamp(min=0)
        answers = mixed(self.prior, self.recalled(alpha), others, prior_strength)
        return self.backbone.class_logits(answers, self.classes)

    def log_likelihood(self, alpha: float, prior_strength: float) -> Tensor:
        """``[E]``, summed over the examples that can be answered; see log_likelihoods."""
        return log_likelihoods(self.scores(alpha, prior_strength), self.labels, self.mask).sum(dim=1)


def most_likely(
    left_out: FastWeightsLeftOut, alphas: Sequence[float], prior_strengths: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """The alpha and the prior count ``[E]`` of the greatest likelihood in each episode; the first of several."""
    settings = [(alpha, prior_strength) for alpha in alphas for prior_strength in prior_strengths]
    best = torch.stack([left_out.log_likelihood(*setting) for setting in settings]).argmax(dim=0)
    table = best.new_tensor(settings, dtype=torch.float64)[best]
    return table[:, 0], table[:, 1]
