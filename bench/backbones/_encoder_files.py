"""Folders of encoders, their hashes, and texts that they read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.contracts import DataError
from bench.toolkit.files import text_hash, user_path, weights_hash
from bench.toolkit.sources import hub_folder

FILES = ("*.safetensors", "*.json", "*.txt", "*.model")
"""Files of weights, configs and tokenizers."""


def encoder_folder(word: str, model: str, files: Sequence[str] = FILES) -> tuple[Path, str]:
    """The folder of a model and its revision.

    Args:
        word: Name of the backbone, for messages.
        model: A folder, or an id of the hub, ``NAME@REVISION`` for another revision than ``main``.
        files: Patterns of the files that are needed.

    Returns:
        The folder, and the hub's commit; empty for a local folder.

    Raises:
        DataError: Within seconds, if it is neither there nor downloadable.
    """
    local = user_path(model)
    if local.is_dir():
        return local, ""
    if model.startswith(("/", ".", "~")) or model.count("/") > 1:
        raise DataError(f"{word}:{model} needs a folder with config, weights and tokenizer, which is not there")
    name, _, revision = model.partition("@")
    patterns = [*files, *(f"*/{pattern}" for pattern in files)]
    try:
        folder = hub_folder(name, "model", revision or "main", patterns)
    except DataError as error:
        raise DataError(f"{error}; a folder works too: {word}:path/to/folder") from error
    return folder, folder.name


def folder_hash(folder: Path) -> str:
    """Hash of the weights, configs and tokenizer of a folder.

    Args:
        folder: The folder.

    Returns:
        64 hexadecimal digits.
    """
    files = sorted(path for pattern in FILES for path in folder.rglob(pattern) if path.is_file())
    named = (part for path in files for part in (path.relative_to(folder).as_posix(), weights_hash(path)))
    return text_hash(*named)


def require_text(name: str, raw: Any) -> str:
    """Require a text.

    Args:
        name: Name of the backbone, for messages.
        raw: The input.

    Returns:
        The text.

    Raises:
        DataError: If it is something else or empty.
    """
    if not isinstance(raw, str) or not raw.strip():
        got = "an empty one" if isinstance(raw, str) else type(raw).__name__
        raise DataError(f"{name} reads texts and needs one as str, got {got}")
    return raw
