"""Any text or image encoder of transformers, by hub id or folder: ``hf_encoder:facebook/dinov2-small``.

``hf_encoder:MODEL,pooling=mean`` (or ``cls``, ``pooler``) names how tokens become one vector.
"""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

from bench.backbones._encoder_files import encoder_folder, folder_hash, require_text
from bench.backbones._images import shortened, to_rgb
from bench.backbones._quiet import quiet_transformers
from bench.contracts import DataError, EncoderBackbone, Features, Kind, UsageError, features_of
from bench.contracts.errors import one_line
from bench.toolkit.files import text_hash, user_path

POOLINGS = ("mean", "cls", "pooler")
VERSION = "images to RGB, at most 16 to 1, then the model's own processor; texts cut at the model's length; version 1"
_SHOWN = 3


class Encoder(EncoderBackbone):
    """An encoder of transformers: pooled hidden states of its last layer.

    Pooling of texts is by default the mean over tokens; of images the class token where there is one, else the pooled
    output of the model, else the mean over positions. Texts longer than the model reads are cut.

    Attributes:
        model: Model of transformers, frozen.
        pooling: "mean", "cls" or "pooler".
    """

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.TEXT_CLASSIFICATION, Kind.IMAGE_CLASSIFICATION})
    citation = "weights, licence and size are the named model's; Wolf et al. 2020, Transformers, arXiv 1910.03771"
    model: Any

    def __init__(self, argument: str = "") -> None:
        """Load a model.

        Args:
            argument: Folder with config, weights as safetensors, and tokenizer or image processor, or an id of the hub,
                ``NAME@REVISION`` for another revision than ``main``; then ``,pooling=mean|cls|pooler``.

        Raises:
            UsageError: For a model that is no such encoder, and a pooling that it does not have.
            DataError: If it is not available or cannot be loaded.
        """
        super().__init__()
        given, chosen = _split(argument)
        self._name = f"hf_encoder:{given}"
        self._folder, self.revision = encoder_folder("hf_encoder", given)
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # see bench.backbones.hf
        self.reads_images = (self._folder / "preprocessor_config.json").is_file()
        self.model, self._reader, missing = _loaded(self._folder, self._name, self.reads_images)
        # An instance reads one of both; the class cannot know which.
        self.kinds = frozenset({Kind.IMAGE_CLASSIFICATION if self.reads_images else Kind.TEXT_CLASSIFICATION})  # type: ignore[misc]
        has_pooler = not any(key.startswith("pooler.") for key in missing)
        self.pooling = chosen or self._default_pooling(has_pooler)
        self._require_pooling(has_pooler)

    def _default_pooling(self, has_pooler: bool) -> str:
        if not self.reads_images:
            return "mean"
        if any(name.endswith("cls_token") for name, _ in self.model.named_parameters()):
            return "cls"
        return "pooler" if has_pooler and self._pooled(self._output()) is not None else "mean"

    def _require_pooling(self, has_pooler: bool) -> None:
        output = self._output()
        if getattr(output, "last_hidden_state", None) is None:
            raise UsageError(f"{self._name} has no hidden states to pool, which a backbone needs; use another model")
        if self.pooling == "pooler" and (not has_pooler or self._pooled(output) is None):
            raise UsageError(f"{self._name} has no weights of a pooler; use pooling=mean or cls")
        if self.pooling == "cls" and output.last_hidden_state.ndim != 3:
            raise UsageError(f"{self._name} has no class token; use pooling=mean or pooler")

    @torch.no_grad()
    def _output(self) -> Any:
        """The model's output for a small input."""
        raw = Image.new("RGB", (32, 32), "grey") if self.reads_images else "a text"
        return self.model(**self.collate([self.prepare(raw)]))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all files of the model and of the pooling."""
        return text_hash(VERSION, self.pooling, str(self.reads_images), folder_hash(self._folder))

    @cached_property
    def _most_tokens(self) -> int:
        """Largest number of tokens of a text, special tokens included."""
        limits = [int(self._reader.model_max_length)]
        table = getattr(getattr(self.model, "embeddings", None), "position_embeddings", None)
        if isinstance(table, torch.nn.Embedding):
            # RoBERTa and its like number positions from behind that of the padding token.
            limits.append(table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1))
        elif isinstance(most := getattr(self.model.config, "max_position_embeddings", None), int):
            limits.append(most)
        return min(limits)

    def prepare(self, raw: Any) -> Any:
        """One input of the model.

        Args:
            raw: A text, or a PIL image of any mode and size.

        Returns:
            Token ids, or pixels ``[3, height, width]``.

        Raises:
            DataError: If it is of the other kind, empty or unreadable.
        """
        if not self.reads_images:
            text = require_text(self._name, raw)
            return self._reader(text, truncation=True, max_length=self._most_tokens)
        image = shortened(to_rgb(raw))
        return self._reader(images=image, return_tensors="pt")["pixel_values"][0]

    def collate(self, prepared: Sequence[Any]) -> dict[str, Tensor]:
        """The model's inputs, texts padded to the longest."""
        if self.reads_images:
            return {"pixel_values": torch.stack(list(prepared))}
        return dict(self._reader.pad(list(prepared), return_tensors="pt"))

    def encode(self, batch: Mapping[str, Tensor]) -> Features:
        """Features of a batch; gradients pass through."""
        weight = next(self.model.parameters())
        inputs = {
            name: tensor.to(weight.device, weight.dtype if tensor.is_floating_point() else tensor.dtype)
            for name, tensor in batch.items()
        }
        output = self.model(**inputs)
        if self.pooling == "pooler":
            return features_of(self._pooled(output))
        hidden = output.last_hidden_state
        if self.pooling == "cls":
            return features_of(hidden[:, 0])
        if self.reads_images:
            return features_of(self._mean_of_positions(hidden))
        mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return features_of((hidden * mask).sum(dim=1) / mask.sum(dim=1))

    def _mean_of_positions(self, hidden: Tensor) -> Tensor:
        """``[item, dim]`` of maps ``[item, dim, height, width]``, or of tokens that stand for a place."""
        if hidden.ndim == 4:
            return hidden.mean(dim=(2, 3))
        has_class = any(name.endswith("cls_token") for name, _ in self.model.named_parameters())
        return hidden[:, int(has_class) + int(getattr(self.model.config, "num_register_tokens", 0)) :].mean(dim=1)

    @staticmethod
    def _pooled(output: Any) -> Any:
        """``[item, dim]`` of the model's own pooling, or None."""
        pooled = getattr(output, "pooler_output", None)
        return None if pooled is None else pooled.flatten(1)


def _split(argument: str) -> tuple[str, str]:
    """The model, and the pooling if it is given."""
    model, comma, option = argument.rpartition(",")
    if user_path(argument).is_dir() or not comma or "=" not in option:
        model, option = argument, ""
    if not model:
        raise UsageError("hf_encoder needs a model: hf_encoder:DIR or hf_encoder:OWNER/NAME")
    key, _, pooling = option.partition("=")
    if option and (key != "pooling" or pooling not in POOLINGS):
        raise UsageError(f"hf_encoder:MODEL takes the option pooling={'|'.join(POOLINGS)}, got {option!r}")
    return model, pooling


def _loaded(folder: Path, name: str, reads_images: bool) -> tuple[Any, Any, list[str]]:
    """Model, tokenizer or image processor, and missing weights, which are of a pooler alone."""
    if not list(folder.glob("*.safetensors")):
        raise DataError(f"{name} needs weights as *.safetensors, found none in {folder}")
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            _require_encoder(name, config)
            reader = (AutoImageProcessor if reads_images else AutoTokenizer).from_pretrained(folder)
            loaded: Any = AutoModel.from_pretrained(
                folder, dtype=torch.float32, trust_remote_code=False, output_loading_info=True
            )
    except UsageError:
        raise
    except Exception as error:  # damaged files raise almost any exception
        raise DataError(f"{name} cannot be loaded as an encoder of transformers: {one_line(error)}") from error
    model, facts = loaded
    missing = sorted(facts["missing_keys"])
    # What the files lack, transformers draws at random.
    if lacking := [key for key in missing if not key.startswith("pooler.")]:
        more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
        raise DataError(f"{name} lacks weights of its encoder: {', '.join(lacking[:_SHOWN])}{more}")
    model.config.return_dict = True
    return model.eval().requires_grad_(False), reader, missing


def _require_encoder(name: str, config: Any) -> None:
    if config.is_encoder_decoder:
        raise UsageError(f"{name} ({config.model_type}) is an encoder-decoder, which hf_encoder does not read")
    if any(architecture.endswith(("ForCausalLM", "LMHeadModel")) for architecture in config.architectures or ()):
        raise UsageError(f"{name} ({config.model_type}) is a decoder; use hf:{name.partition(':')[2]}")
    if hasattr(config, "vision_config") and hasattr(config, "text_config"):
        raise UsageError(f"{name} ({config.model_type}) has an image and a text tower; use open_clip:MODEL/TAG")


PLUGIN = Encoder
