"""Small decoders with random weights, one of each architecture that matters, as folders of transformers' files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as t
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from bench.testing.tiny_models import save_tokenizer

CONTEXT, VOCABULARY, WINDOW = 96, 400, 8
"""Context length; tokens of the models, more than any tokenizer has; tokens of a sliding window, less than a prompt."""
_IDS: dict[str, Any] = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 3, "pad_token_id": None}
_SHAPE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
_USUAL = {**_IDS, **_SHAPE, "num_key_value_heads": 2, "max_position_embeddings": CONTEXT}
_HEADS = {"head_dim": 8, "sliding_window": WINDOW}
_SHORT_NAMES = {"hidden_size": 32, "n_layer": 2, "n_head": 4}
_LONGROPE = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [3.0] * 4, "rope_theta": 10000.0}
_FALCON = {**_IDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}


def _without(*names: str, **more: Any) -> dict[str, Any]:
    return {name: value for name, value in _USUAL.items() if name not in names} | more


SUPPORTED: dict[str, Callable[[], Any]] = {
    "llama": lambda: t.LlamaConfig(**_USUAL),
    "mistral": lambda: t.MistralConfig(**_USUAL, head_dim=8, sliding_window=None),
    "mistral, sliding window": lambda: t.MistralConfig(**_USUAL, **_HEADS),
    "mixtral": lambda: t.MixtralConfig(**_USUAL, num_local_experts=4),
    "qwen2": lambda: t.Qwen2Config(**_USUAL),
    "qwen3": lambda: t.Qwen3Config(**_USUAL, head_dim=8),
    "gemma": lambda: t.GemmaConfig(**_USUAL, head_dim=8),
    "gemma2, capped": lambda: t.Gemma2Config(
        **_USUAL, **_HEADS, final_logit_softcapping=3.0, attn_logit_softcapping=5.0
    ),
    "gemma3": lambda: t.Gemma3TextConfig(**_USUAL, **_HEADS),
    "gpt2": lambda: t.GPT2Config(**_IDS, n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT),
    "gpt_neox": lambda: t.GPTNeoXConfig(**_without("num_key_value_heads")),
    "gpt_oss, sinks": lambda: t.GptOssConfig(
        **_USUAL, **_HEADS, num_local_experts=4, layer_types=["sliding_attention", "full_attention"]
    ),
    "opt": lambda: t.OPTConfig(
        **_without("intermediate_size", "num_key_value_heads", pad_token_id=1), ffn_dim=48, word_embed_proj_dim=32
    ),
    "bloom, alibi": lambda: t.BloomConfig(**_IDS, **_SHORT_NAMES, seq_length=CONTEXT),
    "phi3, two sets of angles": lambda: t.Phi3Config(
        **_without("max_position_embeddings"), max_position_embeddings=4 * CONTEXT,
        original_max_position_embeddings=CONTEXT, rope_parameters=dict(_LONGROPE),
    ),
    "falcon": lambda: t.FalconConfig(**_FALCON, max_position_embeddings=CONTEXT),
    "falcon, alibi": lambda: t.FalconConfig(
        **_FALCON, alibi=True, multi_query=False, max_position_embeddings=CONTEXT
    ),
    "mpt, alibi": lambda: t.MptConfig(
        d_model=32, n_heads=4, n_layers=2, max_seq_len=CONTEXT, vocab_size=VOCABULARY, bos_token_id=0, eos_token_id=3
    ),
    "olmo, norms without weights": lambda: t.OlmoConfig(**_USUAL),
    "olmo2": lambda: t.Olmo2Config(**_USUAL),
    "smollm3": lambda: t.SmolLM3Config(**_USUAL),
    "stablelm": lambda: t.StableLmConfig(**_USUAL),
    "cohere, scaled logits": lambda: t.CohereConfig(**_USUAL),
    "granite, scaled logits": lambda: t.GraniteConfig(**_USUAL, logits_scaling=4.0, embedding_multiplier=3.0),
}  # fmt: skip
"""Configs of architectures that are run; their context is CONTEXT tokens."""
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "phi": (lambda: t.PhiConfig(**_USUAL), r"\(PhiForCausalLM\) adds a bias to its logits"),
    "gptj": (
        lambda: t.GPTJConfig(**_IDS, n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT, rotary_dim=4),
        r"\(GPTJForCausalLM\) adds a bias to its logits",
    ),
    "mamba": (
        lambda: t.MambaConfig(**_IDS, hidden_size=32, num_hidden_layers=2, state_size=4),
        r"\(MambaForCausalLM\) is not supported: it keeps no keys and values",
    ),
    "qwen3_next": (
        lambda: t.Qwen3NextConfig(
            **_USUAL, head_dim=8, num_experts=4, num_experts_per_tok=2, linear_num_value_heads=4,
            linear_num_key_heads=2, linear_key_head_dim=8, linear_value_head_dim=8,
            layer_types=["linear_attention", "full_attention"],
        ),
        r"\(Qwen3NextForCausalLM\) is not supported: it keeps no keys and values",
    ),
    "bloom": (
        lambda: t.BloomConfig(**_IDS, **_SHORT_NAMES),
        r"\(bloom\) names no context length in its config.json; add max_position_embeddings",
    ),
    "gemma3, both ways": (
        lambda: t.Gemma3TextConfig(**_USUAL, **_HEADS, use_bidirectional_attention=True),
        r"\(Gemma3ForCausalLM\) is not supported: hidden states depend on the tokens that follow",
    ),
    "bert": (lambda: t.BertConfig(**_without("num_key_value_heads")), r"\(BertModel\) has no final norm"),
    "t5": (
        lambda: t.T5Config(d_model=32, num_layers=2, num_heads=4, vocab_size=VOCABULARY),
        r"\(t5\) is an encoder-decoder",
    ),
    "bart": (
        lambda: t.BartConfig(d_model=32, encoder_layers=2, decoder_layers=2, vocab_size=VOCABULARY),
        r"\(bart\) is an encoder-decoder",
    ),
}  # fmt: skip
"""Configs of architectures that are refused, with what the message says."""


def save_architecture(config: Any, folder: Path) -> Path:
    """Save a model with random weights; norms are not all ones, nor biases all zero, which would hide a wrong scale."""
    torch.manual_seed(0)
    maker = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = maker.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder
