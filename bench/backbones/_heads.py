"""Output layers whose logits are scaled or capped after the product with the output embedding."""

from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn


class ScaledHead(nn.Linear):
    """``cap tanh(scale W h / cap)``: an output layer with what its model does to logits afterwards.

    Whatever reads the output layer, and not the model's own ``logits``, then has the same logits.

    Attributes:
        scale: Factor of the logits.
        cap: Bound of the logits; None for none (``final_logit_softcapping`` of Gemma 2, arXiv 2408.00118).
    """

    def __init__(self, linear: nn.Linear, scale: float, cap: float | None) -> None:
        """Take over the weight of an output layer.

        Args:
            linear: The output layer.
            scale: Factor of the logits.
            cap: Bound of the logits; None for none.
        """
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.scale, self.cap = scale, cap

    def forward(self, input: Tensor) -> Tensor:
        """Logits of hidden states.

        Args:
            input: ``[..., dim]``.

        Returns:
            ``[..., token]``.
        """
        return self.finished(super().forward(input))

    def finished(self, products: Tensor) -> Tensor:
        """Logits of products with the output embedding.

        Args:
            products: Tensor of any shape.

        Returns:
            Logits of that shape.
        """
        scaled = self.scale * products
        return scaled if self.cap is None else self.cap * torch.tanh(scaled / self.cap)


def move_to_head(model: Any) -> None:
    """Move what a model does to its logits into its output layer.

    Args:
        model: Model of transformers, changed in place; one that leaves its logits alone stays as it is.
    """
    config, head = model.config, model.get_output_embeddings()
    # What a config works out of other fields cannot be moved; the check of the logits refuses such a model.
    own = vars(config)
    cap, divisor, factor = (
        own.get("final_logit_softcapping"), own.get("logits_scaling"), getattr(model, "logit_scale", None)
    )  # fmt: skip
    if not isinstance(head, nn.Linear) or (cap, divisor, factor) == (None, None, None):
        return
    scale = 1.0
    try:
        if cap is not None:
            config.final_logit_softcapping = None
        if divisor is not None:
            scale, config.logits_scaling = scale / divisor, 1.0
    except (AttributeError, StrictDataclassError):  # a field that has to be a number
        return
    if factor is not None:
        scale, model.logit_scale = scale * float(factor), 1.0
    model.set_output_embeddings(ScaledHead(head, scale, cap))
