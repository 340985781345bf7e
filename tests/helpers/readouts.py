"""A tiny model, a tiny corpus, and trainings of them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from bench.backbones.hf import CausalLM
from bench.contracts import Kind, ProblemShape
from bench.engine.trainer import DeviceOptions
from bench.readouts.corpus import Corpus, packed_windows
from bench.readouts.recipe import Recipe
from bench.readouts.session import Session
from bench.testing.tiny_models import SIZES, save_tokenizer
from methods.faast import FaastOnHiddenStates, FaastOnHiddenStatesConfig

TEXTS = tuple(f"Topic {number}: the {word} of a list is {number * 7} and no more.\n" * 3 for number, word in enumerate(
    ["first", "length", "copy", "order", "index", "slice", "sum", "name", "type", "value", "end", "count"]
))  # fmt: skip
CPU = DeviceOptions(accelerator="cpu")
WIDTH = 32


def model_folder(folder: Path, family: str = "llama") -> Path:
    """A tiny model of four blocks, so that two memories have places of their own."""
    torch.manual_seed(0)
    model: Any
    if family == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(n_embd=WIDTH, n_layer=4, n_head=4, n_positions=64, **SIZES))
    else:
        shape = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4}
        shape |= {"num_key_value_heads": 2, "max_position_embeddings": 64, **SIZES}
        model = LlamaForCausalLM(LlamaConfig(**shape)) if family == "llama" else Qwen2ForCausalLM(Qwen2Config(**shape))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def some_windows(backbone: CausalLM, window: int = 32) -> Tensor:
    return packed_windows(backbone, TEXTS, window, 4)


def session(folder: Path, out: Path, *, resume: bool = False, **changes: Any) -> Session:
    fields: dict[str, Any] = {"steps": 6, "window": 32, "learning_rate": 1e-2, "warmup": 1, **changes}
    return Session(f"hf:{folder}", Corpus("texts", TEXTS), Recipe(**fields), out, resume=resume)


def method_with(backbone: CausalLM, path: Path | None, **config: Any) -> FaastOnHiddenStates:
    shape = ProblemShape(1, 1, 1, 0, 0, 0.0, "\n", 0, Kind.LANGUAGE_MODELLING)
    return FaastOnHiddenStates(
        FaastOnHiddenStatesConfig(readouts=None if path is None else str(path), **config), backbone, shape
    )
