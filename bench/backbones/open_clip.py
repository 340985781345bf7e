"""Any CLIP of open_clip, by tag or by file: ``open_clip:RN50-quickgelu/openai``, ``open_clip:ViT-B-32//my.pt``."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from torch import Tensor, nn
from torch.nn.functional import normalize

from bench.backbones._clip_towers import last_projection, without_projection
from bench.backbones._open_clip_weights import FORMS, Choice, load
from bench.backbones._prompts import ensemble
from bench.backbones._transformed_images import TransformedImages
from bench.contracts import Classes, Features, Kind, TwoTowerBackbone, UsageError
from bench.toolkit.files import text_hash, weights_hash

TRANSFORM = "to RGB, at most 16 to 1, then open_clip's own; unit length; version 1"
PROMPTS_AT_ONCE = 128


class OpenClip(TransformedImages, TwoTowerBackbone):
    """CLIP: keys, priors and values in one space (Radford et al., arXiv 2103.00020).

    A key is the unit image feature ``[dim]``, the prior is the same vector, and a value is the unit text feature of the
    class prompts. The text tower stays on the CPU in float32, whatever precision Lightning sets for the image tower, so
    that class embeddings do not depend on it.

    Attributes:
        prior_strength: As published for CIFAR-10 on RN50 (arXiv 2605.04651; 800 for mini-ImageNet).
        visual: The image tower, from images ``[item, 3, height, width]`` to ``[item, dim]``; adapters train or replace
            parts of it.
    """

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.IMAGE_CLASSIFICATION})
    citation = "weights, licence and size are the named checkpoint's; Radford et al. 2021, CLIP, arXiv 2103.00020"
    prior_strength = 400.0
    visual: nn.Module
    _text: Any

    def __init__(self, argument: str = "") -> None:
        """Load a model.

        Args:
            argument: ``MODEL/TAG``, ``MODEL/FILE``, or ``MODEL/TAG/FILE`` for the tag's weights in a local file.

        Raises:
            UsageError: For an unknown name.
            DataError: If its weights are not available or do not fit.
        """
        if not argument:
            raise UsageError(f"open_clip needs a model and its weights: {FORMS}")
        super().__init__()
        choice = Choice.parse(argument)
        weights = choice.weights()
        model, self._tokenizer = load(choice, weights)
        transform = PreprocessCfg(**model.visual.preprocess_cfg)
        self._transform = image_transform_v2(transform, is_train=False)
        shape = [open_clip.get_model_config(choice.model), choice.training.get("quick_gelu"), vars(transform)]
        # Hashed now: the file may be overwritten while the model is in use.
        self._fingerprint = text_hash(TRANSFORM, json.dumps(shape, sort_keys=True), weights_hash(weights))
        self.visual = model.visual
        del model.visual
        # Not a child of nn.Module: Lightning moves and rounds children.
        object.__setattr__(self, "_text", model)
        self._scale = float(model.logit_scale.detach().exp())

    @property
    def fingerprint(self) -> str:
        """Hash of the checkpoint, the model's shape and the transform."""
        return self._fingerprint

    def encode(self, batch: Tensor) -> Features:
        """Features of a batch of images, with keys ``[item, dim]`` as priors too; gradients pass through."""
        weight = next(self.visual.parameters())
        pooled = self.visual(batch.to(weight.device, weight.dtype))
        # CoCa's tower returns its tokens as well.
        pooled = pooled[0] if isinstance(pooled, tuple) else pooled
        keys = normalize(pooled.float(), dim=-1)
        return Features(keys, keys)

    def unprojected(self, batch: Tensor) -> Tensor:
        """``[item, dim_u]``, what the image tower has before its last projection."""
        weight = next(self.visual.parameters())
        with without_projection(self.visual):
            pooled = self.visual(batch.to(weight.device, weight.dtype))
        before: Tensor = pooled[0] if isinstance(pooled, tuple) else pooled
        return before

    def projection(self) -> tuple[Tensor, Tensor | None]:
        """Weight ``[dim_u, dim]`` and bias of the last projection."""
        return last_projection(self.visual)

    @torch.no_grad()
    def class_embeddings(self, names: Sequence[str], prompts: Sequence[str]) -> Tensor:
        """``[class, dim]`` unit text features of the class prompts, on the CPU."""
        return ensemble(lambda texts: self.text_features(self._text, texts), names, prompts)

    @property
    def text_tower(self) -> nn.Module:
        """The text tower, on the CPU in float32."""
        tower: nn.Module = self._text
        return tower

    def text_features(self, tower: nn.Module, texts: Sequence[str]) -> Tensor:
        """Text features ``[text, dim]`` by a text tower; gradients pass through."""
        for text in texts:
            self._require_whole(text)
        encode: Any = tower.encode_text
        device = next(tower.parameters()).device
        parts = [texts[start : start + PROMPTS_AT_ONCE] for start in range(0, len(texts), PROMPTS_AT_ONCE)]
        return torch.cat([encode(self._tokenizer(part).to(device)) for part in parts])

    def _require_whole(self, text: str) -> None:
        """Require that a prompt fits the text tower, whose tokenizer cuts what does not.

        Raises:
            UsageError: If its end is cut off.
        """
        # One more word changes the tokens of every text that leaves room for it.
        room, more = (self._tokenizer([text + end]) for end in ("", " a"))
        if torch.equal(room, more):
            raise UsageError(
                f"a class prompt must leave room for a word in the {room.shape[-1]} tokens of the text tower, got "
                f"{len(text)} characters: {text[:60]!r}; use shorter class names or prompts"
            )

    def class_logits(self, answer: Tensor, classes: Classes) -> Tensor:
        """Cosine of answer and class embedding, times the model's own scale (100 for CLIP)."""
        scores: Tensor = self._scale * normalize(answer, dim=-1) @ normalize(classes.class_embeddings, dim=-1).mT
        return scores


PLUGIN = OpenClip
