"""Check of a loaded decoder: batches, a shared context and padding give what a plain pass of one text gives."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench.backbones._scoring import run_after
from bench.backbones._texts import beam_search_config, padded
from bench.contracts import UsageError
from bench.contracts.errors import one_line

LENGTH, SHORT, SHARED = 6, 4, 2
"""Tokens of the two texts of the check, and of their common beginning."""
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.02}
"""Largest difference from a plain pass by type of the weights, as a share of the largest entry."""

_ERRORS = (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What models raise for arguments that they do not take."""


@torch.no_grad()
def require_plain(model: Any, norm: nn.Module, name: str) -> None:
    """Require that each way in which texts are run gives the hidden states and logits of a plain pass.

    Args:
        model: Model of transformers.
        norm: Its final norm.
        name: Name of the model, for messages.

    Raises:
        UsageError: If one does not; the message names it.
    """
    device, tolerance = model.device, TOLERANCE[model.dtype]
    ids = [(7 * place + 3) % model.get_input_embeddings().weight.shape[0] for place in range(LENGTH)]
    rows = [ids, ids[:SHORT]]
    seen: list[Tensor] = []
    handle = norm.register_forward_hook(lambda _, __, output: seen.append(output))
    whole = torch.tensor([ids], device=device)
    try:
        logits = model(input_ids=whole, use_cache=False).logits[0]
    except _ERRORS as error:
        raise UsageError(f"{name} ({type(model).__name__}) cannot run a text: {one_line(error)}") from error
    finally:
        handle.remove()

    def require(what: str, found: Callable[[], Tensor], expected: Tensor) -> None:
        try:
            tensor = found()
            equal = tensor.shape == expected.shape and torch.allclose(
                tensor.float(), expected.float(), rtol=tolerance, atol=tolerance * float(expected.abs().max())
            )
        except _ERRORS:
            equal = False
        if not equal:
            raise UsageError(f"{name} ({type(model).__name__}) is not supported: {what}; use another backbone")

    hidden = model.base_model(input_ids=whole, use_cache=False).last_hidden_state[0]
    head = model.get_output_embeddings()
    if getattr(head, "bias", None) is not None:
        # Scores by the prior are products with rows of the output embedding, which know no bias.
        raise UsageError(f"{name} ({type(model).__name__}) adds a bias to its logits; use another backbone")
    require("its final norm does not have the last hidden states", lambda: seen[-1][0], hidden)
    require("its logits are not hidden state times output embedding", lambda: head(hidden), logits)
    short = model.base_model(input_ids=whole[:, :SHORT], use_cache=False).last_hidden_state[0]
    require("hidden states depend on the tokens that follow, as in an encoder", lambda: short, hidden[:SHORT])

    def after_shared() -> Tensor:
        context = model.base_model(input_ids=whole[:, :SHARED], use_cache=True).past_key_values
        found = run_after(model.base_model, context, [tuple(row[SHARED:]) for row in rows], SHARED, device)
        return torch.cat([found[0], found[1, : SHORT - SHARED]])

    expected = torch.cat([hidden[SHARED:], hidden[SHARED:SHORT]])
    require("it keeps no keys and values that several texts can go on from", after_shared, expected)

    def batched() -> Tensor:
        tokens = padded(rows, device)
        found = model.base_model(input_ids=tokens.ids, attention_mask=tokens.mask, use_cache=False).last_hidden_state
        return torch.cat([found[0], found[1, :SHORT]])

    require("hidden states depend on padding", batched, torch.cat([hidden, short]))

    def continued() -> Tensor:
        tokens = padded(rows, device, left=True)
        settings = beam_search_config(model, 1, n_beams=1)
        settings.return_dict_in_generate = settings.output_logits = True
        made = model.generate(input_ids=tokens.ids, attention_mask=tokens.mask, generation_config=settings)
        first: Tensor = made.logits[0]
        return first

    require("generation depends on padding", continued, torch.stack([logits[-1], logits[SHORT - 1]]))
