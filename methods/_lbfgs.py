"""L-BFGS on many independent problems at once."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

DESCENT = 1e-4
"""Least share of the descent that the slope promises for a step to be taken (Armijo)."""


class BatchedLBFGS(Optimizer):
    """Limited-memory BFGS (Liu and Nocedal 1989), each problem with steps and memory of its own.

    Parameters are ``[problem, ...]``, and losses of different problems share none of their entries. Each call of
    ``step`` takes one evaluation of losses and gradients, so that steps are those of any optimizer: where the last
    trial descends enough it becomes the new point, and a full quasi-Newton step from there the next trial; where it
    does not, a shorter step from the old point is. ``settle`` puts parameters at the last point.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], losses: Callable[[], Tensor], history: int = 10, tolerance: float = 1e-4
    ) -> None:
        """Make an optimizer.

        Args:
            params: Parameters ``[problem, ...]`` of one number of problems.
            losses: Returns the losses ``[problem]`` at the present parameters, after a backward pass.
            history: Pairs of steps and changes of the gradient that are kept.
            tolerance: A problem is solved when no entry of its gradient is larger.
        """
        super().__init__(params, {"lr": 1.0})
        self._losses, self._history, self._tolerance = losses, history, tolerance
        self._params: list[nn.Parameter] = self.param_groups[0]["params"]

    @property
    def _kept(self) -> dict[str, Tensor]:
        kept: dict[str, Tensor] = self.state[self._params[0]]
        return kept

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Judge the last trial of each problem and put parameters at the next.

        Args:
            closure: Computes losses and gradients; None where these are there already.

        Returns:
            What the closure returns.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            self._advance()
        return loss

    @torch.no_grad()
    def settle(self) -> None:
        """Put parameters at the best point of each problem, away from trials that were not evaluated."""
        if self._kept:
            self._write(self._kept["point"])

    def _advance(self) -> None:
        kept, losses = self._kept, self._losses().detach()
        point = torch.cat([each.detach().flatten(1) for each in self._params], dim=1)
        gradient = torch.cat([each.grad.flatten(1) for each in self._params if each.grad is not None], dim=1)
        if not kept:
            pairs = point.new_zeros(self._history, *point.shape)
            kept |= {"steps": pairs, "changes": pairs.clone(), "inverses": pairs[..., 0].clone()}
            better = torch.ones_like(losses, dtype=torch.bool)
            kept |= {"point": point, "loss": losses, "gradient": gradient}
        else:
            slope = (kept["gradient"] * kept["direction"]).sum(dim=1)
            expected = kept["length"] * slope
            excess = losses - kept["loss"] - expected
            better = losses <= kept["loss"] + DESCENT * expected
            # The minimum of the parabola through both losses and the slope, within bounds.
            shorter = (-expected / (2 * excess).where(excess > 0, torch.inf)).clamp(0.1, 0.5)
            kept["length"] = kept["length"] * shorter
            self._remember(better, point - kept["point"], gradient - kept["gradient"])
            for name, new in (("point", point), ("loss", losses), ("gradient", gradient)):
                kept[name] = torch.where(better.unsqueeze(-1) if new.dim() > 1 else better, new, kept[name])
        self._aim(better)
        solved = kept["gradient"].abs().amax(dim=1) <= self._tolerance
        length = kept["length"].masked_fill(solved, 0).unsqueeze(-1)
        self._write(kept["point"] + length * kept["direction"])

    def _remember(self, better: Tensor, step: Tensor, change: Tensor) -> None:
        """Add a pair to the memory of the problems that moved, the oldest first; one without curvature is left out."""
        kept, curvature = self._kept, (step * change).sum(dim=1)
        taken = better & (curvature > 1e-12 * change.square().sum(dim=1))
        inverse = torch.where(taken, curvature, 1).reciprocal()
        for name, new in (("steps", step), ("changes", change), ("inverses", inverse)):
            mask = taken.view(1, -1, 1) if new.dim() > 1 else taken.view(1, -1)
            kept[name] = torch.where(mask, torch.cat([kept[name][1:], new.unsqueeze(0)]), kept[name])

    def _aim(self, better: Tensor) -> None:
        """A new direction for the problems that moved, by the two loops over their memories."""
        kept, aim = self._kept, self._kept["gradient"].clone()
        steps, changes, inverses = kept["steps"], kept["changes"], kept["inverses"].unsqueeze(-1)
        shares = []
        for place in reversed(range(self._history)):
            share = inverses[place] * (steps[place] * aim).sum(dim=1, keepdim=True)
            shares.append(share)
            aim = aim - share * changes[place]
        squares = changes[-1].square().sum(dim=1, keepdim=True)
        known = squares > 0
        aim = aim * ((steps[-1] * changes[-1]).sum(dim=1, keepdim=True) / squares.where(known, 1)).where(known, 1)
        for place, share in zip(range(self._history), reversed(shares), strict=True):
            aim = aim + (share - inverses[place] * (changes[place] * aim).sum(dim=1, keepdim=True)) * steps[place]
        # Without a memory the first step has the length 1, or that of a short gradient.
        first = kept["gradient"].norm(dim=1).clamp(min=1).reciprocal()
        length = torch.where(known.squeeze(-1), torch.ones_like(first), first)
        kept["direction"] = torch.where(better.unsqueeze(-1), -aim, kept.get("direction", -aim))
        kept["length"] = torch.where(better, length, kept.get("length", length))

    def _write(self, point: Tensor) -> None:
        sizes = [each[0].numel() for each in self._params]
        for parameter, values in zip(self._params, torch.split(point, sizes, dim=1), strict=True):
            parameter.copy_(values.view_as(parameter))
