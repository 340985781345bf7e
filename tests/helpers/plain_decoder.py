"""A decoder as a plain loop: one text at a time, no batch, no padding, no cache, no shared prefix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class PlainDecoder:
    """model: as transformers loads it, unchanged."""

    model: Any

    @torch.no_grad()
    def logits(self, ids: Sequence[int]) -> Tensor:
        """``[position, token]``."""
        found: Tensor = self.model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]
        return found

    def losses(self, ids: Sequence[int]) -> Tensor:
        """Negative log-likelihood of each token but the first, in float64."""
        each = self.logits(ids).double().log_softmax(dim=-1)
        return -each[:-1].gather(1, torch.tensor(list(ids[1:]))[:, None])[:, 0]

    def inputs(self, ids: Sequence[int], path: str) -> Tensor:
        """What a module is given first, ``[position, dim]``."""
        seen: list[Tensor] = []

        def before(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            seen.append(args[0] if args else kwargs["hidden_states"])

        handle = self.model.get_submodule(path).register_forward_pre_hook(before, with_kwargs=True)
        self.logits(ids)
        handle.remove()
        return seen[0][0]

    def continued(self, ids: Sequence[int], n_tokens: int, n_beams: int, end: int) -> list[int]:
        """Beam search until as many continuations as beams have ended; the mean log-probability decides."""
        running: list[tuple[float, list[int]]] = [(0.0, [])]
        ended: list[tuple[float, list[int]]] = []
        for step in range(n_tokens):
            found = []
            for score, said in running:
                each = self.logits([*ids, *said])[-1].log_softmax(dim=-1)
                best = each.topk(2 * n_beams)
                found += [
                    (score + float(value), [*said, int(token)])
                    for value, token in zip(best.values, best.indices, strict=True)
                ]
            found = sorted(found, key=lambda one: -one[0])[: 2 * n_beams]
            last = step == n_tokens - 1
            done = [(score / len(said), said) for score, said in found[:n_beams] if last or said[-1] == end]
            ended = sorted([*ended, *done], key=lambda one: -one[0])[:n_beams]
            running = [one for one in found if one[1][-1] != end][:n_beams]
            if len(ended) == n_beams:
                break
        return max(ended, key=lambda one: one[0])[1]
