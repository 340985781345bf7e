"""Support vector machines by scikit-learn, one after the other: a reference, not a fast method."""

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import sklearn
import torch
from pydantic import Field
from sklearn.svm import SVC
from torch import Tensor

from bench.contracts import (
    Backbone,
    Classes,
    EmbeddingUse,
    ForwardMethod,
    MethodConfig,
    ProblemShape,
    Query,
    Support,
    Tune,
)
from methods._folds import Folds, fold_count
from methods._held_out import Sample
from methods._prior import PriorConfig, PriorTerm, use_of_prior
from methods._reservoir import Reservoir


class SvmConfig(PriorConfig):
    """Hyper-parameters of the support vector machine; C is scikit-learn's default."""

    kernel: Annotated[Literal["linear", "rbf"], Tune()] = Field(
        default="linear",
        description="linear: inner products. rbf: exp(-gamma |x - x'|^2), gamma as scikit-learn scales it.",
    )
    C: Annotated[float, Tune(1e-3, 1e4, log=True)] = Field(
        default=1.0, gt=0, le=1e9, description="Weight of examples on the wrong side of the margin."
    )


class Svm(ForwardMethod):
    """scikit-learn's ``SVC(kernel=..., C=...)``: one machine for each pair of classes, scores by one against the rest.

    A class without examples has the least score. Episodes are fitted one after the other on the CPU in float64, in an
    order of their own, so that answers do not depend on how examples came. The state are the support vectors; a budget
    for it bounds the examples that machines are fitted to. By default there is no prior in the scores; see PriorTerm.
    Its weight is chosen by machines that are fitted without one of five parts of every class each.
    """

    family = "gradient"
    Config = SvmConfig
    config: SvmConfig
    version: ClassVar[str] = f"scikit-learn {sklearn.__version__}"
    source = "Cortes and Vapnik 1995, Support-Vector Networks; Pedregosa et al. 2011, scikit-learn, JMLR 12"

    def __init__(self, config: SvmConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.prior_term = PriorTerm(config, backbone, shape)
        self._batches: list[Sample] = []
        self._machines: list[Any] = [None] * shape.n_episodes

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """None without a prior."""
        return use_of_prior(config)

    def state_bytes(self) -> int:
        """Bytes of support vectors, their weights and intercepts."""
        machines = [each for each in self._machines if isinstance(each, SVC)]
        arrays = [array for each in machines for array in (each.support_vectors_, each.dual_coef_, each.intercept_)]
        return int(sum(array.nbytes for array in arrays) + self.prior_term.weight.nbytes)

    def observe(self, support: Support) -> None:
        """Keep the batch."""
        self._batches.append(Sample.of(support, self.shape.seed))
        self._classes = support.classes

    def solve(self) -> None:
        """Fit a machine to each episode, then weigh the prior."""
        if not self._batches:
            return
        sample = self._bounded(Sample.joined(self._batches).shuffled())
        self._batches.clear()
        self._machines = self._fitted(sample, sample.mask)
        if self.prior_term.used:
            self._fit_prior(sample, self._classes)

    def predict(self, query: Query) -> Tensor:
        """Decisions ``[episode, item, way]``, and the prior's logits where they are wanted."""
        return self.prior_term.add(self._decisions(self._machines, query.keys), query)

    def _bounded(self, sample: Sample) -> Sample:
        """As many items as fit the state if all are support vectors, in balance."""
        shape, number = self.shape, 8
        each, pairs = number * (shape.key_dim + shape.n_way - 1), shape.n_way * (shape.n_way - 1) // 2
        most = shape.limits.items(each, number * pairs + 4)
        if most is None or sample.mask.shape[1] <= most:
            return sample
        index = Reservoir(None, shape.n_way, shape.seed).chosen(sample.draw, sample.labels, sample.mask, most)
        return sample.where(torch.zeros_like(sample.mask).scatter_(1, index, True))

    def _fitted(self, sample: Sample, mask: Tensor) -> list[Any]:
        """A machine of each episode; the only class where there is one, None without examples."""
        keys, labels, kept = (each.cpu().numpy() for each in (sample.keys.double(), sample.labels, mask))
        machines: list[Any] = []
        for row, name, real in zip(keys, labels, kept, strict=True):
            present = np.unique(name[real])
            if len(present) < 2:
                machines.append(present[0] if len(present) else None)
            else:
                machines.append(SVC(kernel=self.config.kernel, C=self.config.C).fit(row[real], name[real]))
        return machines

    def _decisions(self, machines: list[Any], keys: Tensor) -> Tensor:
        """``[episode, item, way]``."""
        scores = np.zeros((*keys.shape[:2], self.shape.n_way))
        for row, machine, items in zip(scores, machines, keys.double().cpu().numpy(), strict=True):
            if isinstance(machine, SVC):
                found = machine.decision_function(items)
                found = found if found.ndim == 2 else np.stack([-found, found], axis=1)
                row[:] = found.min(axis=1, keepdims=True) - 1
                row[:, machine.classes_] = found
            elif machine is not None:
                row[:, machine] = 1
        return torch.from_numpy(scores).to(keys)

    def _fit_prior(self, sample: Sample, classes: Classes) -> None:
        folds = Folds(sample, self.shape.n_way, fold_count(self.shape) if self.prior_term.searched else 0)
        parts = torch.split(folds.training, len(sample.mask))[1:]
        others = [self._decisions(self._fitted(sample, part), sample.keys) for part in parts]
        left_out = folds.out_of_fold(others) if others else None
        scores = self._decisions(self._machines, sample.keys)
        self.prior_term.fit(slice(None), sample, classes, sample.mask.sum(dim=1), scores, left_out, folds.counts)
        self.notes |= self.prior_term.notes()


PLUGIN = Svm
