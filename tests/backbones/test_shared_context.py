"""Texts after a context that they share: the same hidden states and the same operations as with a copy for each row."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from bench.backbones import _shared_context
from bench.backbones._scoring import run_after
from bench.meters.flops import FlopMeter
from tests.helpers.architectures import SUPPORTED, VOCABULARY

CONTEXT, TAILS = 70, [(5, 6, 7, 8), (9, 10), (11, 12, 13)]


def model(name, dtype=torch.float32):
    torch.manual_seed(0)
    config = SUPPORTED[name]()
    return AutoModelForCausalLM.from_config(config).to(dtype).eval().base_model


@torch.no_grad()
def after(decoder, monkeypatch, least):
    """Hidden states of the tails, their operations, and the type of the cache that they had."""
    monkeypatch.setattr(_shared_context, "LEAST", least)
    ids = torch.arange(CONTEXT)[None] * 7 % VOCABULARY
    context = decoder(input_ids=ids, use_cache=True).past_key_values
    kept, seen = [layer.keys.clone() for layer in context.layers], []
    handle = decoder.register_forward_pre_hook(
        lambda _, __, given: seen.append(type(given["past_key_values"].layers[0])), with_kwargs=True
    )
    with FlopMeter() as counter:
        hidden = run_after(decoder, context, TAILS, CONTEXT, torch.device("cpu"))
    handle.remove()
    assert all(torch.equal(layer.keys, keys) for layer, keys in zip(context.layers, kept, strict=True))
    return torch.cat([row[: len(tail)] for row, tail in zip(hidden, TAILS, strict=True)]), counter.total, seen[0]


def named(family):
    """The architecture of a family among those that are tested; sliding windows aside."""
    return next(name for name in SUPPORTED if name.partition(",")[0] == family)


@pytest.mark.parametrize("family", sorted(_shared_context.FAMILIES))
def test_a_shared_context_gives_what_a_copy_for_each_row_gives(family, monkeypatch):
    decoder = model(named(family))
    (shared, operations, kind), (copied, expected, other) = (after(decoder, monkeypatch, least) for least in (64, 999))
    assert (kind is _shared_context.SharedLayer) == ("sliding" not in named(family))
    assert other is not _shared_context.SharedLayer
    torch.testing.assert_close(shared, copied, rtol=1e-4, atol=1e-4)
    assert operations == expected


def test_half_precision_is_as_near_as_with_copies(monkeypatch):
    exact = after(model("llama"), monkeypatch, 64)[0]
    decoder = model("llama", torch.bfloat16)
    shared, copied = (after(decoder, monkeypatch, least)[0].float() for least in (64, 999))
    assert (shared - exact).abs().max() <= 1.5 * (copied - exact).abs().max()


@pytest.mark.parametrize("name", ["gpt2", "bloom, alibi", "gemma3", "mistral, sliding window"])
def test_other_models_have_copies(name, monkeypatch):
    assert after(model(name), monkeypatch, 64)[2] is not _shared_context.SharedLayer


def test_long_texts_have_copies(monkeypatch):
    monkeypatch.setattr(_shared_context, "LONGEST", 3)
    assert after(model("llama"), monkeypatch, 64)[2] is not _shared_context.SharedLayer
