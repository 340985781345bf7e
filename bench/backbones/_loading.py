"""Loading of a decoder and its tokenizer from a folder of transformers' files, or a refusal by name."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import GENERATION_CONFIG_NAME

from bench.backbones._heads import move_to_head
from bench.backbones._quiet import quiet_transformers
from bench.contracts import DataError, UsageError
from bench.contracts.errors import one_line
from bench.toolkit.files import require_regular

_SHOWN = 3


DTYPES: dict[str, Any] = {
    "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "auto": "auto",
}  # fmt: skip
"""Types in which weights are loaded; ``auto`` for that of the files."""


def split_dtype(argument: str) -> tuple[str, str]:
    """The model and the type of its weights.

    Args:
        argument: ``MODEL`` or ``MODEL,dtype=TYPE``.

    Returns:
        Both; float32 by default.

    Raises:
        UsageError: For another option or type.
    """
    model, comma, option = argument.rpartition(",")
    if not comma or "=" not in option:
        return argument, "float32"
    key, _, dtype = option.partition("=")
    if key != "dtype" or dtype not in DTYPES:
        raise UsageError(f"hf:MODEL takes the option dtype={'|'.join(DTYPES)}, got {option!r}")
    return model, dtype


def load_decoder(folder: Path, name: str, dtype: str = "float32") -> tuple[Any, Any]:
    """Load a frozen decoder and its tokenizer.

    Nothing of the model's own settings for generation is kept but the ids of its tokens; what it does to its logits is
    moved into its output layer; no code that comes with it is run.

    Args:
        folder: Folder with config, tokenizer and safetensors.
        name: Name of the model, for messages.
        dtype: Type of its weights in memory, of DTYPES.

    Returns:
        The model and the tokenizer.

    Raises:
        DataError: If files are missing, damaged or incomplete.
        UsageError: If it is an encoder-decoder.
    """
    if not list(folder.glob("*.safetensors")):
        raise DataError(f"{name} needs weights as *.safetensors, found none in {folder}")
    try:
        for file in folder.iterdir():
            if file.exists():
                require_regular(file)  # transformers would wait at a pipe
        with quiet_transformers():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            if config.is_encoder_decoder:
                raise UsageError(
                    f"{name} ({config.model_type}) is an encoder-decoder; this backbone reads decoders alone, "
                    "use another one"
                )
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder, dtype=DTYPES[dtype], trust_remote_code=False, output_loading_info=True
            )
            if (folder / GENERATION_CONFIG_NAME).exists():
                # The model's own loading passes over a damaged file, and with it the tokens that end an answer.
                GenerationConfig.from_pretrained(folder)
    except UsageError:
        raise
    # Damaged files raise almost any exception: of JSON, of configs, of tokenizers, of libraries that are not installed.
    except Exception as error:
        raise DataError(f"{name} cannot be loaded as a causal language model: {one_line(error)}") from error
    model, facts = loaded
    # What the files lack, transformers draws at random.
    if missing := sorted(facts["missing_keys"]):
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise DataError(f"{name} lacks weights of a causal language model: {', '.join(missing[:_SHOWN])}{more}")
    given = model.generation_config
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        **{key: getattr(given, key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    )
    # A config may ask for outputs as tuples, or for tensors that no caller here reads.
    model.config.return_dict = True
    model.config.output_attentions = model.config.output_hidden_states = False
    move_to_head(model)
    return model.eval().requires_grad_(False), tokenizer
