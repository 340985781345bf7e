"""A tiny model, a tiny corpus, and trainings of them."""

from pathlib import Path
from typing import Any

from torch import Tensor

from bench.backbones.hf import CausalLM
from bench.contracts import Kind, ProblemShape
from bench.engine.trainer import DeviceOptions
from bench.readouts.corpus import Corpus, packed_windows
from bench.readouts.recipe import Recipe
from bench.readouts.session import Session
from bench.testing.tiny_models import save_model
from methods.faast import FaastOnHiddenStates, FaastOnHiddenStatesConfig

TEXTS = tuple(f"Topic {number}: the {word} of a list is {number * 7} and no more.\n" * 3 for number, word in enumerate(
    ["first", "length", "copy", "order", "index", "slice", "sum", "name", "type", "value", "end", "count"]
))  # fmt: skip
CPU = DeviceOptions(accelerator="cpu")
WIDTH = 32


def model_folder(folder: Path, family: str = "llama") -> Path:
    """A tiny model of four blocks, so that two memories have places of their own."""
    return save_model(folder, family, blocks=4)


def some_windows(backbone: CausalLM, window: int = 32) -> Tensor:
    return packed_windows(backbone, TEXTS, window, 4)


def session(folder: Path, out: Path, *, resume: bool = False, **changes: Any) -> Session:
    fields: dict[str, Any] = {"steps": 6, "window": 32, "learning_rate": 1e-2, "warmup": 1, **changes}
    return Session(f"hf:{folder}", Corpus("texts", TEXTS), Recipe(**fields), out, resume=resume)


def method_with(backbone: CausalLM, path: Path | None, **config: Any) -> FaastOnHiddenStates:
    shape = ProblemShape(1, 1, 1, 0, 0, 0.0, "\n", 0, Kind.LANGUAGE_MODELLING)
    return FaastOnHiddenStates(
        FaastOnHiddenStatesConfig(readouts=None if path is None else str(path), **config), backbone, shape
    )
