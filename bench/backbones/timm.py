"""Any image encoder of timm, from the hub or a file: ``timm:resnet50.a1_in1k``, ``timm:resnet50//my.safetensors``."""

import difflib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import timm
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform
from timm.models import load_state_dict

from bench.backbones._image_encoder import ImageEncoder
from bench.contracts import DataError, UsageError
from bench.contracts.errors import one_line
from bench.toolkit.files import text_hash, user_path, weights_hash
from bench.toolkit.sources import hub_folder

FORMS = "timm:MODEL, timm:MODEL.TAG or timm:MODEL//path/to/weights"
TRANSFORM = "to RGB, at most 16 to 1, then timm's own; features before the classifier; unit length; version 1"
FILES = ("model.safetensors", "pytorch_model.bin")


class Timm(ImageEncoder):
    """An image encoder of timm without its classifier; images are prepared by the data config of its weights."""

    citation = "weights, licence and size are the named model's; Wightman 2019, PyTorch Image Models"

    def __init__(self, argument: str = "") -> None:
        """Load a model.

        Args:
            argument: ``MODEL`` or ``MODEL.TAG`` of timm, whose weights are on the hub, then ``/FILE`` for weights in a
                local file.

        Raises:
            UsageError: For an unknown name, and for a model without pooled features.
            DataError: If its weights are not available or do not fit.
        """
        model, _, file = argument.partition("/")
        _require_known(model)
        weights = user_path(file) if file else _from_hub(model)
        if not weights.is_file():
            raise DataError(f"timm:{argument} needs a file of weights at {weights}, which is not there")
        net = _loaded(model, weights)
        config: dict[str, Any] = resolve_model_data_config(net)  # type: ignore[no-untyped-call]
        shape = [model.partition(".")[0], {name: config[name] for name in sorted(config)}]
        fingerprint = text_hash(TRANSFORM, json.dumps(shape, default=str), weights_hash(weights))
        super().__init__(f"timm:{model}", net, create_transform(**config, is_training=False), fingerprint)
        self.revision = "" if file else weights.parent.name


def _require_known(model: str) -> None:
    if not model:
        raise UsageError(f"timm needs a model: {FORMS}")
    architecture, dot, tag = model.partition(".")
    if architecture not in timm.list_models():
        close = difflib.get_close_matches(architecture, timm.list_models(), n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "bench lists none; timm.list_models() has all names"
        raise UsageError(f"timm has no model {architecture!r}; {hint}")
    known = [name.partition(".")[2] for name in timm.list_models(f"{architecture}.*", pretrained=True)]
    if dot and tag not in known:
        close = difflib.get_close_matches(tag, known, n=3, cutoff=0.0)
        raise UsageError(f"timm:{architecture} has no weights {tag!r}; did you mean {', '.join(close) or 'a file'}?")


def _from_hub(model: str) -> Path:
    """The file with the weights of a model in the hub's cache, downloaded if it is not there."""
    found = timm.get_pretrained_cfg(model)
    local = f"a local file works too: timm:{model}//path/to/weights"
    if found is None or not found.hf_hub_id:
        raise DataError(f"timm:{model} has no weights on the hub; {local}")
    names = [found.hf_hub_filename] if found.hf_hub_filename else FILES
    try:
        for name in names:
            folder = hub_folder(found.hf_hub_id, "model", "main", [name])
            if (folder / name).is_file():
                return folder / name
    except DataError as error:
        raise DataError(f"{error}; {local}") from error
    raise DataError(f"{found.hf_hub_id} has none of {', '.join(names)}; {local}")


def _loaded(model: str, weights: Path) -> Any:
    """The network without its classifier.

    Returns:
        The network.

    Raises:
        DataError: If the file is no checkpoint of this model, or lacks some of its weights.
    """
    try:
        with _missing_keys() as missing:
            state = load_state_dict(str(weights), weights_only=True)
            # Given as a state dict, weights of any source pass through the conversions that timm has for the model.
            net: Any = timm.create_model(
                model, pretrained=True, num_classes=0, pretrained_cfg_overlay={"state_dict": state, "source": ""}
            )
    # A file that is no checkpoint, or another model's, raises almost any exception.
    except Exception as error:
        raise DataError(f"{weights} cannot be loaded as timm:{model}: {one_line(error)}") from error
    if missing:
        raise DataError(f"{weights} lacks weights of timm:{model}: {missing[0][:200]}")
    net.pretrained_cfg.pop("state_dict", None)
    return net


class _Missing(logging.Handler):
    """Collects what timm says of weights that a file lacks, and would leave random."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the names of missing weights."""
        said = record.getMessage()
        if said.startswith("Missing keys ("):
            self.found.append(said.removeprefix("Missing keys (").partition(")")[0])


@contextmanager
def _missing_keys() -> Iterator[list[str]]:
    logger, handler = logging.getLogger("timm.models._builder"), _Missing()
    level, passed_on = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield handler.found
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = passed_on


PLUGIN = Timm
