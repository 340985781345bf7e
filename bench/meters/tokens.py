"""Counts the tokens that language models read."""

from typing import Self

import torch
from torch import nn
from transformers import PreTrainedModel


class TokenMeter:
    """Counts the tokens that language models read between ``with`` and its end, padding included.

    A token is read where the rows of a model's input embedding are looked up, in the model itself or in a copy of it.
    ``model`` is transformers' own, or None where there is none and nothing is counted.
    """

    def __init__(self, model: nn.Module | None) -> None:
        self.count = 0
        # Position embeddings have another shape.
        self._shape = model.get_input_embeddings().weight.shape if isinstance(model, PreTrainedModel) else None

    def __enter__(self) -> Self:
        if self._shape is not None:
            self._handle = nn.modules.module.register_module_forward_pre_hook(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        if self._shape is not None:
            self._handle.remove()

    def _see(self, module: nn.Module, args: tuple[object, ...]) -> None:
        if isinstance(module, nn.Embedding) and module.weight.shape == self._shape:
            self.count += sum(each.numel() for each in args if isinstance(each, torch.Tensor))
