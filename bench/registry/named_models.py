"""Licence and size of the model that the name of a backbone names, such as ``timm:resnet50.a1_in1k``.

For the project's own backbones they are in a module beside them, which none of them imports: records keep their ids.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from bench.plugin import OWN
from bench.registry.finding import FOLDERS, get


def named_model(name: str) -> Mapping[str, str]:
    """Facts of a model, without its weights.

    Args:
        name: Name of a backbone, ``NAME`` or ``NAME:ARGUMENT``.

    Returns:
        Its licence and size in words; nothing for a name without an argument, or of a backbone whose argument names no
        model.

    Raises:
        DataError: For a local file that is not there.
        UsageError: For an unknown name, with the closest ones.
    """
    plugin, _, argument = name.partition(":")
    if not argument or get("backbones", plugin).origin != OWN:
        return {}
    return cast("Mapping[str, str]", import_module(f"{FOLDERS['backbones']}._named_models").facts(plugin, argument))
