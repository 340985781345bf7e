"""Noisy stripes in four directions."""

import numpy as np
from datasets import Dataset, Features, Image
from PIL import Image as Pictures

from bench.contracts import Kind, Pool, Protocol, Task, TaskData

PER_CLASS = {"support": 30, "query": 25}


def picture(label, rng):
    x, y = np.meshgrid(np.arange(12), np.arange(12))
    wave = np.sin(x * np.cos(label * np.pi / 4) + y * np.sin(label * np.pi / 4))
    noisy = 128 + 50 * wave + 200 * rng.standard_normal((12, 12))
    return Pictures.fromarray(noisy.clip(0, 255).astype(np.uint8))


class Stripes(Task):
    """Small enough to be encoded in no time, noisy enough not to be solved by one example."""

    kind = Kind.IMAGE_CLASSIFICATION
    prompts = ("Stripes that run {label}.",)
    protocol = Protocol(episodes=6, queries=5)
    citation = "made by this test"

    def load(self, data):
        rng = np.random.default_rng(0)
        pools = {}
        for split, number in PER_CLASS.items():
            labels = np.repeat(np.arange(4), number)
            pictures = [picture(label, rng) for label in labels]
            inputs = Dataset.from_dict({"input": pictures}, features=Features({"input": Image()}))
            pools[split] = Pool(inputs, labels)
        return TaskData(**pools, classes=("east", "north-east", "north", "north-west"), revision="1")


PLUGIN = Stripes
