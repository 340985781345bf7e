"""Any image classifier of torchvision, by name or file: ``torchvision:resnet50``, ``torchvision:resnet50//my.pt``."""

import difflib
import urllib.request
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from torchvision import models
from torchvision.models import Weights

from bench.backbones._image_encoder import ImageEncoder
from bench.contracts import DataError, UsageError
from bench.contracts.errors import one_line
from bench.toolkit.files import text_hash, user_path, weights_hash
from bench.toolkit.sources import HUB_TIMEOUT

FORMS = "torchvision:MODEL, torchvision:MODEL/WEIGHTS or torchvision:MODEL//path/to/weights"
TRANSFORM = "to RGB, at most 16 to 1, then torchvision's own; input of the last linear layer; unit length; version 1"


class Torchvision(ImageEncoder):
    """A classifier of torchvision without its last layer; images are prepared by the transform of its weights."""

    citation = "weights, licence and size are the named model's; TorchVision 2016, BSD-3-Clause"

    def __init__(self, argument: str = "") -> None:
        """Load a model.

        Args:
            argument: ``MODEL`` or ``MODEL/WEIGHTS`` of torchvision, or ``MODEL/FILE`` for weights in a local file.

        Raises:
            UsageError: For an unknown name, and for a model without pooled features.
            DataError: If its weights are not available or do not fit.
        """
        model, _, rest = argument.partition("/")
        entry, file = _chosen(model, rest)
        weights = file or _downloaded(model, entry)
        net, head = _without_head(model)
        _load(net, head, weights, f"torchvision:{model}")
        transform = entry.transforms()
        fingerprint = text_hash(TRANSFORM, model, repr(transform), weights_hash(weights))
        super().__init__(f"torchvision:{model}", net, transform, fingerprint)


def _chosen(model: str, rest: str) -> tuple[Weights, Path | None]:
    """Weights of torchvision, which say how images are prepared, and a local file in their place."""
    if not model:
        raise UsageError(f"torchvision needs a model: {FORMS}")
    known = models.list_models(module=models)
    if model not in known:
        close = difflib.get_close_matches(model, known, n=3) or known[:3]
        raise UsageError(f"torchvision has no image classifier {model!r}; did you mean {', '.join(close)}?")
    entries = models.get_model_weights(model)
    usual: Weights = entries.DEFAULT
    if not rest:
        return usual, None
    if rest in entries.__members__:
        return entries[rest], None
    file = user_path(rest)
    if file.is_file():
        return usual, file
    if "/" in rest or file.suffix:
        raise DataError(f"torchvision:{model}/{rest} needs a file of weights at {file}, which is not there")
    raise UsageError(f"torchvision:{model} has no weights {rest!r}; it has {', '.join(entries.__members__)}")


def _downloaded(model: str, entry: Weights) -> Path:
    """The file of weights in torch's cache, downloaded if it is not there."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(entry.url).name
    if path.is_file():
        return path
    try:
        # One try with a short timeout; the library itself has none.
        with urllib.request.urlopen(urllib.request.Request(entry.url, method="HEAD"), timeout=HUB_TIMEOUT):
            pass
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = path.stem.rpartition("-")[2]
        torch.hub.download_url_to_file(entry.url, str(path), hash_prefix=prefix, progress=False)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{entry.url} cannot be downloaded ({one_line(error)}); a local file works too: "
            f"torchvision:{model}//path/to/weights"
        ) from error
    return path


def _without_head(model: str) -> tuple[nn.Module, str]:
    """A network with random weights, its last linear layer replaced by the identity, and that layer's name."""
    # Auxiliary classifiers serve training, and initial weights are overwritten; drawing them takes seconds.
    more = {"aux_logits": False, "init_weights": False} if model in {"googlenet", "inception_v3"} else {}
    net: nn.Module = models.get_model(model, weights=None, **more)
    linear = [name for name, layer in net.named_modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise UsageError(f"torchvision:{model} has no pooled features, which a backbone needs; use another model")
    head = linear[-1]
    net.set_submodule(head, nn.Identity())
    return net, head


def _load(net: nn.Module, head: str, weights: Path, name: str) -> None:
    try:
        is_safe = weights.suffix == ".safetensors"
        state: Any = load_file(weights) if is_safe else torch.load(weights, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        left_out = (f"{head}.", "AuxLogits.", "aux1.", "aux2.")
        net.load_state_dict({key: value for key, value in state.items() if not key.startswith(left_out)})
    # A file that is no checkpoint, or another model's, raises almost any exception.
    except Exception as error:
        raise DataError(f"{weights} cannot be loaded as {name}: {one_line(error)}") from error


PLUGIN = Torchvision
