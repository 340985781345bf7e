"""Decoders with random weights and a tokenizer trained on the spot: no network, no packages."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

TEXT = ["Word: happy\nSentiment: positive\n", "Word: awful\nSentiment: negative\n", "very good, very bad: indeed"]
SIZES: dict[str, Any] = {"vocab_size": 320, "bos_token_id": 0, "eos_token_id": 0}
CHAT_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}[system]so<s>{% endif %}"
    "{% for message in messages %}[{{ message['role'] }}]{{ message['content'] | trim }}<s>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
"""A template like those of instruction-tuned models: a default system message, and one end mark for all turns."""


def tiny_model(family: str, context: int = 64, blocks: int = 2) -> Any:
    """A decoder with random weights.

    Args:
        family: "gpt2", "llama" or "qwen2".
        context: Context length in tokens.
        blocks: Number of transformer blocks.

    Returns:
        Model of transformers.
    """
    torch.manual_seed(0)
    if family == "gpt2":
        return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=blocks, n_head=4, n_positions=context, **SIZES))
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": blocks,
        "num_attention_heads": 4,
    }
    shape |= {"num_key_value_heads": 2, "max_position_embeddings": context, **SIZES}
    if family == "llama":
        return LlamaForCausalLM(LlamaConfig(**shape))
    return Qwen2ForCausalLM(Qwen2Config(**shape))


def save_model(
    folder: Path,
    family: str,
    change: float = 0.0,
    context: int = 64,
    chat_template: str | None = None,
    blocks: int = 2,
) -> Path:
    """Save a decoder with random weights and its tokenizer.

    Args:
        folder: Folder to write.
        family: "gpt2", "llama" or "qwen2".
        change: Amount added to one weight.
        context: Context length in tokens.
        chat_template: Chat template of the tokenizer, if any.
        blocks: Number of transformer blocks.

    Returns:
        The folder.
    """
    model = tiny_model(family, context, blocks)
    with torch.no_grad():
        for parameter in model.parameters():
            # Norms of all ones and biases of zero would hide a wrong scale.
            parameter.add_(torch.randn_like(parameter) * 0.1)
        model.get_output_embeddings().weight[0, 0] += change
    model.save_pretrained(folder)
    save_tokenizer(folder, chat_template=chat_template)
    return folder


def save_tokenizer(folder: Path, vocabulary: int = 320, chat_template: str | None = None) -> None:
    """Train and save a byte-level tokenizer without a padding token.

    Args:
        folder: Folder to write.
        vocabulary: Largest number of tokens.
        chat_template: Chat template, if any.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT * 8, trainer)
    made: Any = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<s>", chat_template=chat_template)  # type: ignore[no-untyped-call]
    made.save_pretrained(folder)
