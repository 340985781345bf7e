"""open_clip models: name, training tag, checkpoint file, and loading."""

import difflib
import logging
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
from torch import Tensor

from bench.contracts import DataError, UsageError
from bench.contracts.errors import one_line
from bench.toolkit.files import user_path
from bench.toolkit.sources import hub_folder
from bench.toolkit.trust import require_trust

FORMS = "open_clip:MODEL/TAG, open_clip:MODEL//path/to/checkpoint or open_clip:MODEL/TAG//path/to/checkpoint"
_TRANSFORM_FIELDS = ("mean", "std", "interpolation", "resize_mode")
TEXT_FILES = ("*.json", "*.txt", "*.model")
_NO_WEIGHTS = ("input_resolution", "context_length", "vocab_size", "attn_mask")
"""Sizes and constants among the weights of a scripted archive."""


@dataclass(frozen=True)
class Choice:
    """A model of open_clip and its weights.

    Attributes:
        model: Name of the architecture.
        tag: A training that open_clip knows, which determines the transform of images and the GELU; empty for a
            checkpoint without one, which then counts as trained like OpenAI's.
        file: Checkpoint file; None for the tag's own weights.
    """

    model: str
    tag: str
    file: Path | None

    @classmethod
    def parse(cls, argument: str) -> "Choice":
        """Parse ``MODEL/TAG``, ``MODEL/FILE`` or ``MODEL/TAG/FILE``.

        Args:
            argument: The text after ``open_clip:``.

        Returns:
            The choice.

        Raises:
            UsageError: For a model or tag that open_clip does not have, with the closest name.
            DataError: For a missing file.
        """
        model, _, rest = argument.partition("/")
        if model not in open_clip.list_models():
            raise _unknown("open_clip", "model", model, open_clip.list_models())
        tags = open_clip.list_pretrained_tags_by_model(model)
        head, _, tail = rest.partition("/")
        if rest in tags:
            return cls(model, rest, None)
        tag, file = (head, user_path(tail)) if head in tags and tail else ("", user_path(rest))
        if file.is_file():
            return cls(model, tag, file)
        if "/" in rest or file.suffix:
            raise DataError(f"open_clip:{argument} needs a checkpoint file at {file}, which is not there")
        raise _unknown(f"open_clip:{model}", "tag", rest, tags)

    @property
    def training(self) -> dict[str, Any]:
        """open_clip's facts about the tag; empty without one."""
        found: dict[str, Any] = open_clip.get_pretrained_cfg(self.model, self.tag) if self.tag else {}
        return found

    def weights(self) -> Path:
        """The checkpoint file, downloaded if it is not in the hub's cache.

        Returns:
            Its path.

        Raises:
            DataError: Within seconds, if it is neither in the cache nor downloadable.
        """
        if self.file is not None:
            return self.file
        repository, _, name = self.training["hf_hub"].rpartition("/")
        name = name or HF_WEIGHTS_NAME
        # As in open_clip: safetensors where the repository has them, else the pickled file.
        safe = HF_SAFE_WEIGHTS_NAME if name == HF_WEIGHTS_NAME else Path(name).with_suffix(".safetensors").name
        try:
            for name_of_file in (safe, name):
                folder = hub_folder(repository, "model", "main", [name_of_file])
                if (folder / name_of_file).is_file():
                    return folder / name_of_file
        except DataError as error:
            raise DataError(f"{error}; {self._local_form()}") from error
        raise DataError(f"{repository} has neither {safe} nor {name}; {self._local_form()}")

    def _local_form(self) -> str:
        return f"a local file works too: open_clip:{self.model}/{self.tag}//path/to/checkpoint"


def _unknown(owner: str, kind: str, name: str, known: list[str]) -> UsageError:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or known[:3]
    hint = f"did you mean {', '.join(close)}?" if close else f"it has none, but takes a file: {FORMS}"
    return UsageError(f"{owner} has no {kind} {name!r}; {hint}")


def load(choice: Choice, weights: Path) -> tuple[Any, Any]:
    """Load a model and its tokenizer.

    Args:
        choice: The model.
        weights: The checkpoint file.

    Returns:
        The model, frozen, on the CPU and in float32, and its tokenizer.

    Raises:
        DataError: If the file is no checkpoint of this model, or if the tokenizer is not available.
        UsageError: For a user's file that would run code and is not trusted.
    """
    training = choice.training
    _require_text_files(choice.model)
    scripted = _is_torchscript(weights)
    if scripted and choice.file is not None:
        require_trust(weights, "a TorchScript archive", "a file of weights alone (safetensors, or a state dict)")
    with _quiet():
        try:
            model: Any = open_clip.create_model(
                choice.model,
                pretrained=None if scripted else str(weights),
                # Otherwise a text tower would be downloaded and then overwritten.
                pretrained_text=False,
                force_quick_gelu=training.get("quick_gelu", False),
                force_preprocess_cfg={name: training[name] for name in _TRANSFORM_FIELDS if name in training},
            )
            if scripted:
                model.load_state_dict(_scripted_state(weights))
            tokenizer = open_clip.get_tokenizer(choice.model)
        # A file that is no checkpoint, or another model's, raises almost any exception.
        except Exception as error:
            raise DataError(f"{weights} cannot be loaded as open_clip:{choice.model}: {one_line(error)}") from error
    return model.eval().requires_grad_(False), tokenizer


def _require_text_files(model: str) -> None:
    """Require the files of a hub's text tower besides weights; open_clip itself would try for half a minute."""
    text = open_clip.get_model_config(model)["text_cfg"]
    for repository in {text[field] for field in ("hf_tokenizer_name", "hf_model_name") if text.get(field)}:
        try:
            hub_folder(repository, "model", "main", TEXT_FILES)
        except DataError as error:
            raise DataError(f"open_clip:{model} needs a tokenizer and text settings from the hub: {error}") from error


def _is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive, as published by OpenAI."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _scripted_state(path: Path) -> dict[str, Tensor]:
    state = torch.jit.load(str(path), map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
    return {name: tensor for name, tensor in state.items() if name not in _NO_WEIGHTS}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings, and the set-up of the root logger by open_clip's first message."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger().removeHandler(handler)
