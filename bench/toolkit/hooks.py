"""What stands inside a language model: where memories are input_hooks in, and the readouts that were trained for them.

Methods use it to answer, ``bench readout`` to train (FAAST, arXiv 2605.04651).
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def gated_values(keys: Tensor, values: Tensor, scorer: Tensor) -> Tensor:
    """Each value ``[..., d]`` times ``sigmoid(s . [k; v])``, s being ``scorer [1, 2 d]``."""
    return values * torch.sigmoid(torch.cat([keys, values], dim=-1) @ scorer.mT)


def memory_layers(n_blocks: int, n_memories: int) -> list[int]:
    """The blocks before which middle memories stand: ``int(L / (n + 1) * (i + 1))``."""
    return [int(n_blocks / (n_memories + 1) * (number + 1)) for number in range(n_memories)]


@contextmanager
def input_hooks(places: Sequence[tuple[nn.Module, Any]]) -> Iterator[None]:
    """Have each module's first input replaced by what its function makes of it; None leaves it as it is."""

    def hook(change: Any) -> Any:
        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            states = args[0] if args else kwargs["hidden_states"]
            changed = change(states)
            if changed is None:
                return None
            if args:
                return (changed, *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": changed}

        return before

    with ExitStack() as stack:
        for module, change in places:
            handle = module.register_forward_pre_hook(hook(change), with_kwargs=True)
            stack.callback(handle.remove)
        yield
