"""Any encoder of sentence-transformers, by hub id or folder: ``st:sentence-transformers/all-MiniLM-L6-v2``."""

import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import sentence_transformers
import torch
from torch import Tensor
from torch.nn.functional import normalize

from bench.backbones._encoder_files import encoder_folder, folder_hash, require_text
from bench.backbones._prompts import ensemble
from bench.backbones._quiet import quiet_transformers
from bench.contracts import Backbone, Classes, DataError, Features, Kind, UsageError
from bench.contracts.errors import one_line
from bench.toolkit.files import text_hash

POOLING = "the model's own modules, its default prompt before texts and class names; unit length; version 1"
SCALE = 100.0
"""What cosines of class scores are multiplied by, as in CLIP."""
PROMPTS_AT_ONCE = 128


class SentenceTransformer(Backbone):
    """A sentence encoder: keys, priors and class embeddings in one space, since classes are texts too.

    Texts that are too long are cut by the model's own limit.

    Attributes:
        model: Model of sentence-transformers, frozen.
    """

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.TEXT_CLASSIFICATION})
    # That of the embedded image space, whose class embeddings are of such an encoder; not chosen on any data.
    prior_strength = 50.0
    citation = (
        "weights, licence and size are the named model's; Reimers & Gurevych 2019, Sentence-BERT, arXiv 1908.10084"
    )
    model: Any

    def __init__(self, argument: str = "") -> None:
        """Load a model.

        Args:
            argument: A folder that sentence-transformers has written, or an id of the hub, ``NAME@REVISION`` for
                another revision than ``main``.

        Raises:
            UsageError: Without one.
            DataError: If it is not available or cannot be loaded.
        """
        if not argument:
            raise UsageError("st needs a model: st:DIR or st:OWNER/NAME")
        super().__init__()
        self._name = f"st:{argument}"
        self._folder, self.revision = encoder_folder("st", argument, ("*.safetensors", "*.json", "*.txt", "*.model"))
        if not (self._folder / "modules.json").is_file():
            raise DataError(
                f"{self._name} needs the modules.json of sentence-transformers in {self._folder}; for another encoder "
                f"use hf_encoder:{argument}"
            )
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # see bench.backbones.hf
        try:
            with quiet_transformers():
                self.model = sentence_transformers.SentenceTransformer(
                    str(self._folder), device="cpu", trust_remote_code=False, local_files_only=True,
                    model_kwargs={"use_safetensors": True},
                )  # fmt: skip
        except Exception as error:  # damaged files raise almost any exception
            raise DataError(f"{self._name} cannot be loaded: {one_line(error)}") from error

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all files of the model, the computation and the library's version."""
        return text_hash(POOLING, sentence_transformers.__version__, folder_hash(self._folder))

    def prepare(self, raw: Any) -> str:
        """One text, with the model's default prompt.

        Args:
            raw: The text.

        Returns:
            The text.

        Raises:
            DataError: If it is no text or empty.
        """
        return require_text(self._name, raw)

    def collate(self, prepared: Sequence[str]) -> dict[str, Tensor]:
        """Tokens of the texts."""
        known = self.model.prompts.get(self.model.default_prompt_name) if self.model.default_prompt_name else None
        found: dict[str, Any] = self.model.preprocess(list(prepared), prompt=known)
        return {name: value for name, value in found.items() if isinstance(value, Tensor)}

    def encode(self, batch: dict[str, Tensor]) -> Features:
        """Keys, which are the priors too."""
        device = next(self.model.parameters()).device
        embedded = self.model({name: tensor.to(device) for name, tensor in batch.items()})["sentence_embedding"]
        keys = normalize(embedded.float(), dim=-1)
        return Features(keys, keys)

    @torch.no_grad()
    def class_embeddings(self, names: Sequence[str], prompts: Sequence[str]) -> Tensor:
        """``[class, dim]`` unit vectors of the class prompts."""

        def embed(texts: list[str]) -> Tensor:
            parts = [texts[start : start + PROMPTS_AT_ONCE] for start in range(0, len(texts), PROMPTS_AT_ONCE)]
            return torch.cat([self.encode(self.collate([text.strip() for text in part])).keys for part in parts])

        return ensemble(embed, names, prompts).cpu()

    def class_logits(self, answer: Tensor, classes: Classes) -> Tensor:
        """Cosine of answer and class embedding, times 100."""
        scores: Tensor = SCALE * normalize(answer, dim=-1) @ normalize(classes.class_embeddings, dim=-1).mT
        return scores


PLUGIN = SentenceTransformer
