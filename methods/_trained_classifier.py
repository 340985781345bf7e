"""What trained softmax regressions share: W and a bias for keys as they come, folds for the prior's weight, answers."""

import torch
from torch import Tensor

from bench.contracts import Backbone, EmbeddingUse, MethodConfig, ProblemShape, Query
from methods._folds import fold_count
from methods._prior import PriorConfig, PriorTerm, use_of_prior
from methods._training import FullSupportMethod


class TrainedClassifier(FullSupportMethod):
    """Logits ``W key + bias``, and the prior's where they are wanted; a subclass trains W in variables of its own.

    To choose the prior's weight, further regressions are trained beside the first, each without one fold.

    Attributes:
        weight: W ``[episode, dim_k, way]``, once training has ended.
        bias: ``[episode, 1, way]``.
        prior_term: The prior's logits, with the weight that is chosen for them.
        n_folds: Number of further regressions of each episode.
    """

    def __init__(self, config: PriorConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.prior_term = PriorTerm(config, backbone, shape)
        self.n_folds = fold_count(shape) if self.prior_term.searched else 0
        self.register_buffer("weight", torch.zeros(shape.n_episodes, shape.key_dim, shape.n_way))
        self.register_buffer("bias", torch.zeros(shape.n_episodes, 1, shape.n_way))

    weight: Tensor
    bias: Tensor

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """None without a prior."""
        return use_of_prior(config)

    def state_bytes(self) -> int:
        """Bytes of W and the bias; what they were trained in is not needed to answer."""
        return self.weight.nbytes + self.bias.nbytes + self.prior_term.weight.nbytes

    def trainable_params(self) -> int:
        """Entries of W and the bias, whatever basis they are trained in."""
        return self.weight.numel() + self.bias.numel()

    def predict(self, query: Query) -> Tensor:
        """Logits ``[episode, item, way]``, and the prior's where they are wanted."""
        return self.prior_term.add(torch.baddbmm(self.bias, query.keys, self.weight), query)
