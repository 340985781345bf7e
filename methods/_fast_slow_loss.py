"""Objectives of Fast-Slow Training on a policy over a few answers (arXiv 2605.12484).

Scores are ``[prompt, item, way]``, log-probabilities of answers up to a constant; the policy is their softmax.
"""

import torch
from torch import Tensor

LEAST_SPREAD = 1e-6
"""Added to the standard deviation of rewards that advantages are divided by."""


def expected_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Minus the expected reward ``sum_y pi(y | x, phi) [y right]``, mean over prompts and items.

    Args:
        scores: ``[prompt, item, way]``.
        labels: ``[item]``.

    Returns:
        A scalar.
    """
    index = labels.expand(scores.shape[:2]).unsqueeze(-1)
    return -scores.softmax(dim=-1).gather(-1, index).mean()


def drawn_answers(scores: Tensor, rollouts: list[int], generator: torch.Generator) -> list[Tensor]:
    """Answers drawn from the policy of each prompt.

    Args:
        scores: ``[prompt, item, way]``.
        rollouts: Answers of each prompt.
        generator: Random numbers, on the CPU.

    Returns:
        ``[item, rollout]`` for each prompt.
    """
    policies = scores.detach().cpu().double().softmax(dim=-1)
    return [
        torch.multinomial(policy, number, replacement=True, generator=generator).to(scores.device)
        for policy, number in zip(policies, rollouts, strict=True)
    ]


def sampled_loss(
    scores: Tensor,
    labels: Tensor,
    answers: list[Tensor],
    clip: float,
    *,
    scaled: bool = True,
    before: Tensor | None = None,
) -> Tensor:
    """CISPO's loss ``-mean of sg(min(rho, clip)) A log pi(y | x, phi)``.

    Advantages are of all answers to an item together, whatever their prompts: ``A = (r - mean) / (std + 1e-6)``.
    Answers to an item that are all right or all wrong have A = 0.

    Args:
        scores: ``[prompt, item, way]``.
        labels: ``[item]``.
        answers: From ``drawn_answers``.
        clip: Largest ratio rho of the present policy and the one that answered.
        scaled: Whether advantages are divided by the standard deviation.
        before: ``[prompt, item, way]``, scores of the policy that answered; None where it is the present one.

    Returns:
        A scalar.
    """
    present = scores.log_softmax(dim=-1)
    earlier = present.detach() if before is None else before.detach().log_softmax(dim=-1)
    chosen = torch.cat([policy.gather(-1, drawn) for policy, drawn in zip(present, answers, strict=True)], dim=-1)
    old = torch.cat([policy.gather(-1, drawn) for policy, drawn in zip(earlier, answers, strict=True)], dim=-1)
    rewards = (torch.cat(answers, dim=-1) == labels.unsqueeze(-1)).to(chosen.dtype)
    advantages = rewards - rewards.mean(dim=-1, keepdim=True)
    if scaled:
        advantages = advantages / (rewards.std(dim=-1, correction=0, keepdim=True) + LEAST_SPREAD)
    ratios = (chosen.detach() - old).exp().clamp(max=clip)
    return -(ratios * advantages * chosen).mean()


def divergence(scores: Tensor, base: Tensor) -> Tensor:
    """``KL(pi || base)`` in nats, mean over prompts and items.

    Args:
        scores: ``[..., way]`` of the policy.
        base: ``[..., way]`` of the base model.

    Returns:
        A scalar.
    """
    policy, other = scores.log_softmax(dim=-1), base.log_softmax(dim=-1)
    return (policy.exp() * (policy - other)).sum(dim=-1).mean()
