"""Token meter: tokens that language models read."""

from typing import Self

import torch
from torch import nn
from transformers import PreTrainedModel


class TokenMeter:
    """Context manager that counts the tokens read by a language model, padding included.

    A token is counted at each look-up in the model's input embedding, in the model itself or in a copy of it.

    Attributes:
        count: Number of tokens so far; later ``with`` blocks add to it.
    """

    def __init__(self, model: nn.Module | None) -> None:
        """Prepare a meter.

        Args:
            model: A transformers model; nothing is counted for None.
        """
        self.count = 0
        # The shape identifies the input embedding; position embeddings have another one.
        self._shape = model.get_input_embeddings().weight.shape if isinstance(model, PreTrainedModel) else None

    def __enter__(self) -> Self:
        if self._shape is not None:
            self._handle = nn.modules.module.register_module_forward_pre_hook(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        if self._shape is not None:
            self._handle.remove()

    def _count(self, module: nn.Module, args: tuple[object, ...]) -> None:
        if isinstance(module, nn.Embedding) and module.weight.shape == self._shape:
            self.count += sum(tensor.numel() for tensor in args if isinstance(tensor, torch.Tensor))
