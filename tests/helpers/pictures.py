"""Episodes of images for methods that run an image encoder: noisy pictures whose colour tells their class."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench.contracts import Backbone, Classes, Inputs
from bench.testing.problems import Problem, problem

NAMES = ("cat", "dog", "ship")
PROMPT = "a photo of a {label}."


def image(position: int) -> Image.Image:
    """A noisy image whose colour tells its class."""
    generator = np.random.default_rng(position)
    pixels = generator.integers(0, 120, (40, 40, 3), dtype=np.uint8)
    pixels[..., position % 3] += 120
    return Image.fromarray(pixels)


def pictures(backbone: Backbone, n_shot: int = 2, n_query: int = 2) -> Problem:
    """One episode of images, with the backbone's own class values and no features."""
    values = backbone.class_embeddings(NAMES, [PROMPT])
    classes = Classes(values[None], (NAMES,))
    given = problem(n_episodes=1, n_way=3, n_shot=n_shot, n_query=n_query, value_dim=values.shape[1])

    def shown(items: Any, first: int) -> Any:
        positions = first + np.arange(items.mask.shape[1])[None]
        empty = torch.zeros(*items.mask.shape, 0)
        inputs = Inputs(positions, lambda wanted: [image(position) for position in wanted])
        return replace(items, keys=empty, prior=empty, classes=classes, inputs=inputs)

    support = shown(given.support, 0)
    support = replace(support, labels=torch.arange(3 * n_shot)[None] % 3)
    return Problem(support, shown(given.query, 300), replace(given.shape, class_prompts=(PROMPT,)))
