"""Blocks of a language model that are not all of them on the model's device: each is whole while it runs."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bench.contracts import UsageError


class SplitBlocks:
    """Hooks on the blocks of a model.

    Moves of the whole model, by Lightning and by the harness, pass over the blocks. A part of a block that is called
    outside of it would find no weights on the model's device, and is refused.

    Attributes:
        strategy: Name of the strategy, for the message.
        begin: Called with the number of a block before it runs.
        end: Called with the number after it has run.
    """

    def __init__(
        self, strategy: str, blocks: Sequence[nn.Module], begin: Callable[[int], None], end: Callable[[int], None]
    ) -> None:
        """Put the hooks in place.

        Args:
            strategy: Name of the strategy.
            blocks: The blocks.
            begin: Called with the number of a block before it runs, and before hooks that were put on it earlier.
            end: Called with the number of a block after it has run, also where it failed.
        """
        self.strategy, self.begin, self.end = strategy, begin, end
        self._running: set[int] = set()
        for number, block in enumerate(blocks):
            for part in block.modules():
                if part is not block and any(True for _ in part.parameters(recurse=False)):
                    part.register_forward_pre_hook(partial(self._require_whole, number))
            block.register_forward_pre_hook(partial(self._begin, number), prepend=True)
            block.register_forward_hook(partial(self._end, number), always_call=True)
            block._apply = partial(_unmoved, block)  # type: ignore[method-assign]

    def _begin(self, number: int, *_: Any) -> None:
        self.begin(number)
        self._running.add(number)

    def _end(self, number: int, *_: Any) -> None:
        if number in self._running:
            self._running.remove(number)
            self.end(number)

    def _require_whole(self, number: int, module: nn.Module, _: tuple[Any, ...]) -> None:
        if number not in self._running:
            raise UsageError(
                f"--strategy {self.strategy} has the weights of a block while the block runs, and the method calls its "
                f"{type(module).__name__} by itself; use a device that holds the whole model"
            )


def _unmoved(block: nn.Module, function: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """In place of ``nn.Module._apply``."""
    return block


def local_part(tensor: Tensor) -> Tensor:
    """The part of a tensor that is in this process's memory.

    Args:
        tensor: Any tensor.

    Returns:
        The shard of a sharded tensor; nothing of one on the meta device; else the tensor itself.
    """
    # FSDP's sharded parameters are tensors of a type of their own; DeepSpeed's have their shard as an attribute.
    part: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else getattr(tensor, "ds_tensor", tensor)
    return torch.empty(0, dtype=tensor.dtype) if part.is_meta else part
