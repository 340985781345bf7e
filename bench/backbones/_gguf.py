"""Conversion of a quantised GGUF file to weights in float32, in the files of transformers."""

import io
import json
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.backbones._quiet import quiet_transformers
from bench.toolkit.code_hash import code_hash
from bench.toolkit.files import file_hash, text_hash
from bench.toolkit.versions import library_versions

CONVERTING = ("torch", "transformers", "tokenizers", "gguf")
"""Libraries whose version can change the converted weights or the tokenizer."""


def conversion_key(gguf: Path) -> str:
    """Hash of everything that determines a converted copy: the file, the converting libraries and this module's code.

    Args:
        gguf: The GGUF file.

    Returns:
        64 hexadecimal digits.
    """
    return text_hash(file_hash(gguf), json.dumps(library_versions(CONVERTING), sort_keys=True), code_hash(__name__))


def convert(gguf: Path, target: Path) -> None:
    """Write a model and its tokenizer in the files of transformers.

    Args:
        gguf: The GGUF file.
        target: The folder to write.
    """
    import bench.toolkit.quick_gguf  # noqa: F401 (transformers reads by it; slow to import, and needed here alone)

    # The progress bar of the GGUF reader cannot be switched off; it writes to standard error.
    with quiet_transformers(), redirect_stderr(io.StringIO()):
        model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        # The weights are plain float32 by now; save_pretrained refuses a config that declares quantisation.
        del model.config.quantization_config
        model.hf_quantizer = None
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)
