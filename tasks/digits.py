"""Digits: scikit-learn's 1,797 handwritten digits, 8 x 8 pixels, half of each class for support."""

from pathlib import Path

import datasets
import numpy as np
from datasets import Dataset
from PIL import Image
from sklearn.datasets import load_digits

from bench.contracts import Kind, Pool, Protocol, Task, TaskData
from bench.toolkit.files import text_hash
from bench.toolkit.splits import stratified_halves

SPLIT_SEED = 0
INK = 16  # the largest value of a pixel in this data set


class Digits(Task):
    """Ten-way classification of digits, with names that are meaningless to a model of photographs."""

    kind = Kind.IMAGE_CLASSIFICATION
    prompts = ("A photo of the digit {label}.",)
    prior_strength = 0.0
    protocol = Protocol(episodes=50, queries=20)
    size = "901 support and 896 query images of 10 classes"
    citation = (
        "Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI 1998, CC BY 4.0; test part, scikit-learn"
    )

    def load(self, data: Path | None) -> TaskData:
        """Read the digits as 8-bit grey images.

        Args:
            data: Unused; the images are part of scikit-learn.

        Returns:
            Halves of each class.
        """
        bunch = load_digits()
        pixels = np.round(bunch.images * (255 / INK)).astype(np.uint8)
        labels = bunch.target.astype(np.int64)
        support, query = stratified_halves(labels, SPLIT_SEED)
        return TaskData(
            _pool(pixels[support], labels[support]),
            _pool(pixels[query], labels[query]),
            tuple(str(digit) for digit in range(10)),
            text_hash(pixels.tobytes().hex(), labels.tobytes().hex(), str(SPLIT_SEED)),
        )


def _pool(pixels: np.ndarray, labels: np.ndarray) -> Pool:
    images = [Image.fromarray(image) for image in pixels]
    return Pool(Dataset.from_dict({"input": images}, datasets.Features({"input": datasets.Image()})), labels)


PLUGIN = Digits
