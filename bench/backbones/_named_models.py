"""Licence and size of the model that a backbone's argument names, as ``bench show timm:NAME`` prints them.

The model's weights are not read. No backbone imports this module, so that it is no part of the hash of their code.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from math import prod
from pathlib import Path

from bench.contracts import DataError
from bench.toolkit.files import user_path
from bench.toolkit.sources import HUB_TIMEOUT, hub_reason

Facts = dict[str, str]
NOT_STATED = "not stated"
_OPTION = re.compile(r",(dtype|pooling)=\w+$")
_FORMATS = (("*.safetensors",), ("*.bin", "*.pt", "*.pth"))
"""Files of weights, the format that is read first."""


def facts(backbone: str, argument: str) -> Facts:
    """Licence and size of a model.

    Args:
        backbone: Name of a backbone without its argument.
        argument: The argument.

    Returns:
        ``licence`` and ``size`` in words; empty for a backbone whose argument names none. Where the hub gives no answer
        within seconds, they say so.

    Raises:
        UsageError: For a name that the library does not have, with the closest ones.
        DataError: For a local file that is not there.
    """
    return MODELS[backbone](argument) if backbone in MODELS else {}


def _of_timm(argument: str) -> Facts:
    import timm
    import torch

    from bench.backbones.timm import _require_known

    model, _, file = argument.partition("/")
    _require_known(model)
    with torch.device("meta"):
        net = timm.create_model(model, num_classes=0)
    parameters = sum(parameter.numel() for parameter in net.parameters())
    if file:
        return _said("", parameters, _bytes(user_path(file)))
    config = timm.get_pretrained_cfg(model)
    licence = config.license if config else None
    if config and config.hf_hub_id and not licence:
        licence = _of_hub(config.hf_hub_id)["licence"]
    return _said(licence or "", parameters)


def _of_torchvision(argument: str) -> Facts:
    from bench.backbones.torchvision import _chosen

    model, _, rest = argument.partition("/")
    entry, file = _chosen(model, rest)
    parameters = int(entry.meta["num_params"])
    if file:
        return _said("", parameters, _bytes(file))
    return _said(entry.meta.get("license", ""), parameters, round(entry.meta["_file_size"] * 2**20))


def _of_open_clip(argument: str) -> Facts:
    from bench.backbones._open_clip_weights import Choice

    choice = Choice.parse(argument)
    if choice.file is not None:
        return _said("", None, _bytes(choice.file))
    repository, _, name = choice.training["hf_hub"].rpartition("/")
    stem = Path(name).stem or "open_clip_*"
    return _of_hub(repository, patterns=[(f"{stem}.safetensors",), (f"{stem}.*",)])


def _of_folder_or_hub(argument: str) -> Facts:
    model = _OPTION.sub("", argument)
    folder = user_path(model)
    if folder.is_dir():
        return _of_folder(folder)
    if model.startswith(("/", ".", "~")) or model.count("/") > 1:
        raise DataError(f"a model needs a folder with config, weights and tokenizer; {model} is not there")
    name, _, revision = model.partition("@")
    return _of_hub(name, revision or "main")


MODELS: Mapping[str, Callable[[str], Facts]] = {
    "timm": _of_timm,
    "torchvision": _of_torchvision,
    "open_clip": _of_open_clip,
    "st": _of_folder_or_hub,
    "hf": _of_folder_or_hub,
    "hf_encoder": _of_folder_or_hub,
}
"""Backbones whose argument names a model."""


def _of_folder(folder: Path) -> Facts:
    """Facts of a folder of transformers or sentence-transformers, from its card and the headers of its weights."""
    from huggingface_hub import metadata_load
    from safetensors import safe_open

    card = folder / "README.md"
    stated = metadata_load(card) if card.is_file() else None
    files = sorted(folder.rglob("*.safetensors"))
    parameters = 0
    for file in files:
        with safe_open(file, framework="pt") as weights:
            parameters += sum(prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return _said((stated or {}).get("license", ""), parameters or None, sum(map(_bytes, files)) or None)


def _of_hub(repository: str, revision: str = "main", patterns: Iterable[Iterable[str]] = _FORMATS) -> Facts:
    """Facts of a repository of the hub, by one request; none of its files is downloaded."""
    from huggingface_hub import HfApi

    try:
        found = HfApi().model_info(repository, revision=revision, files_metadata=True, timeout=HUB_TIMEOUT)
    except Exception as error:  # the client's transport library, and with it its errors, differ by version
        unknown = f"not known: {repository} is not readable on the hub ({hub_reason(error, revision)})"
        return {"licence": unknown, "size": unknown}
    sizes = {each.rfilename: each.size or 0 for each in found.siblings or ()}
    of_weights = (
        [size for name, size in sizes.items() if any(fnmatchcase(name.rpartition("/")[2], each) for each in one)]
        for one in patterns
    )
    n_bytes = sum(next(filter(None, of_weights), []))
    licence = found.card_data.license if found.card_data else ""
    return _said(licence or "", found.safetensors.total if found.safetensors else None, n_bytes or None)


def _said(licence: str, parameters: int | None, n_bytes: int | None = None) -> Facts:
    """Facts in words."""
    parts = [f"{_number(parameters / 1e6)} million parameters"] if parameters else []
    parts += [f"{_number(n_bytes / 1e6)} MB of weights"] if n_bytes else []
    return {"licence": licence or NOT_STATED, "size": ", ".join(parts) or NOT_STATED}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _bytes(file: Path) -> int:
    if not file.is_file():
        raise DataError(f"a model needs a file of weights; {file} is not there")
    return file.stat().st_size
