"""The pixels themselves as features, with class values that know nothing."""

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import normalize

from bench.contracts import Backbone, DataError, Features, Kind
from bench.toolkit.files import cache_folder

HEAVY = 64 * 2**20
"""Bytes of the heavy backbone's weights."""


class Pixels(Backbone):
    """Centred pixels; the value of a class is a random direction named by it."""

    kinds = frozenset({Kind.IMAGE_CLASSIFICATION})
    prior_strength = 4.0

    def __init__(self, argument="plain"):
        super().__init__()
        if argument not in {"plain", "nan", "heavy"}:
            raise ValueError(argument)
        self.argument = argument
        if argument == "heavy":  # weights that are mapped from a file, as safetensors maps them
            path = cache_folder() / "heavy.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(HEAVY))
            self.weights = nn.Parameter(torch.from_file(str(path), size=HEAVY // 4), requires_grad=False)

    @property
    def fingerprint(self):
        return f"pixels-{self.argument}"

    def prepare(self, raw):
        if not isinstance(raw, Image.Image):
            raise DataError(f"pixels need an image, got {type(raw).__name__}")
        pixels = torch.from_numpy(np.asarray(raw, dtype=np.float32)).flatten()
        if pixels.std() == 0:
            raise DataError("a picture of one colour")
        return pixels - pixels.mean()

    def collate(self, prepared):
        return torch.stack(list(prepared))

    def encode(self, batch):
        keys = normalize(batch, dim=-1)
        if self.argument == "nan":
            keys = keys.where(keys[:, :1] < 0.05, torch.nan)
        return Features(keys=keys, prior=keys[:, :16].contiguous())

    def class_embeddings(self, names, prompts):
        seeds = [sum(prompts[0].format(label=name).encode()) for name in names]
        directions = [torch.randn(16, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return normalize(torch.stack(directions), dim=-1)

    def class_logits(self, answer, classes):
        return 100 * normalize(answer, dim=-1) @ classes.class_embeddings.mT
