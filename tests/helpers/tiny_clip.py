"""Two tiny CLIPs with random weights, one of each family, under names that open_clip knows."""

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
VISION: dict[str, dict[str, Any]] = {
    "tiny-vit": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "tiny-resnet-quickgelu": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8},
}

with tempfile.TemporaryDirectory() as folder:
    for name, vision in VISION.items():
        config = {"embed_dim": 24, "quick_gelu": "quickgelu" in name, "vision_cfg": vision, "text_cfg": TEXT}
        (Path(folder) / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)


def tiny(name: str, seed: int = 0) -> Any:
    """A model of one of the two, in evaluation mode."""
    torch.manual_seed(seed)
    model = open_clip.create_model(name)
    with torch.no_grad():
        model.logit_scale.fill_(np.log(50.0))
        for module in model.modules():
            # As made, some norms are 0 and others 1: all images look alike, and a mistake would not show.
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.weight.uniform_(2, 4)
    return model.eval()


def save(path: Path, name: str, seed: int = 0) -> Path:
    """Its weights as a checkpoint file."""
    torch.save(tiny(name, seed).state_dict(), path)
    return path


def save_scripted(path: Path, name: str) -> Path:
    """The same weights as a TorchScript archive, as OpenAI published CLIP."""
    size = VISION[name]["image_size"]
    example = (torch.zeros(1, 3, size, size), open_clip.tokenize("a"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(tiny(name), example, check_trace=False), str(path))  # type: ignore[no-untyped-call]
    return path
