"""A model trained from scratch to recall pairs across chunks: with fast weights it does, without them it cannot."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from bench.toolkit.in_place import InPlaceLayers
from bench.toolkit.in_place_chunks import InPlaceParts

SYMBOLS, CHUNK, PAIRS, WIDTH = 8, 8, 4, 32
"""Keys, values and fillers are 8 symbols each; chance is 1 / 8."""


def texts(rng: torch.Generator, count: int) -> Tensor:
    """A chunk of four pairs, a chunk of fillers, and a chunk of the same pairs in another order."""
    keys = torch.rand(count, SYMBOLS, generator=rng).argsort(dim=1)[:, :PAIRS]
    values = SYMBOLS + torch.randint(SYMBOLS, (count, PAIRS), generator=rng)
    order = torch.rand(count, PAIRS, generator=rng).argsort(dim=1)
    fillers = 2 * SYMBOLS + torch.randint(SYMBOLS, (count, CHUNK), generator=rng)
    shown, again = ((keys, values), (keys.gather(1, order), values.gather(1, order)))
    return torch.cat([torch.stack(shown, 2).flatten(1), fillers, torch.stack(again, 2).flatten(1)], dim=1)


def recalled(rate: float) -> float:
    """Share of right values in the last chunk, after 100 steps on other texts; attention is within chunks."""
    torch.manual_seed(0)
    shape: dict[str, Any] = {"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64}
    model: Any = LlamaForCausalLM(LlamaConfig(vocab_size=3 * SYMBOLS, tie_word_embeddings=True, **shape, **heads))
    backbone: Any = SimpleNamespace(
        blocks=model.model.layers, decoder=model.model, embed=model.get_input_embeddings(), parameters=model.parameters
    )
    conv = torch.zeros(WIDTH, 1, 5)
    conv[:, :, 3] = 1
    parts = [InPlaceParts(nn.Parameter(conv.clone()), nn.Parameter(torch.eye(WIDTH))) for _ in range(2)]
    layers = InPlaceLayers(
        backbone, [0, 1], parts, [rate] * 2, chunk=CHUNK, target="embedding", attention="chunk"
    )  # fmt: skip
    own = [tensor for each in parts for tensor in (each.conv, each.proj)]
    optimizer = torch.optim.AdamW([*model.parameters(), *own], lr=3e-3)

    def logits(ids: Tensor) -> Tensor:
        with layers.active():
            hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        found: Tensor = model.lm_head(hidden[:, 2 * CHUNK : -1 : 2])
        return found

    rng = torch.Generator().manual_seed(0)
    for _ in range(100):
        ids = texts(rng, 64)
        loss = nn.functional.cross_entropy(logits(ids).flatten(0, 1), ids[:, 2 * CHUNK + 1 :: 2].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    ids = texts(torch.Generator().manual_seed(99), 500)
    with torch.no_grad():
        right = logits(ids).argmax(dim=-1) == ids[:, 2 * CHUNK + 1 :: 2]
    return float(right.float().mean())


@pytest.mark.slow
def test_fast_weights_carry_pairs_and_nothing_else_does() -> None:
    assert recalled(3.0) > 0.5
    # 2,000 answers: four standard errors about 1 / 8.
    assert recalled(0.0) == pytest.approx(1 / SYMBOLS, abs=0.03)
