"""mini-ImageNet: the 20 test classes of 600 photographs, by readable names; half of each class for support."""

from pathlib import Path
from typing import ClassVar, Literal

import datasets
import numpy as np
from datasets import Dataset
from PIL import Image

from bench.contracts import DataError, Kind, Pool, Protocol, Task, TaskData
from bench.toolkit.columns import require_columns
from bench.toolkit.images import decoded, encoded_images
from bench.toolkit.sources import Source
from bench.toolkit.splits import stratified_halves

SPLIT_SEED = 42
SIZE = 84
"""Side of an image in pixels, as in the copies of this benchmark in publications."""

# The test classes of Ravi & Larochelle, by WordNet id.
CLASSES = {
    "n01930112": "nematode",
    "n01981276": "king crab",
    "n02099601": "golden retriever",
    "n02110063": "malamute",
    "n02110341": "dalmatian",
    "n02116738": "African hunting dog",
    "n02129165": "lion",
    "n02219486": "ant",
    "n02443484": "black-footed ferret",
    "n02871525": "bookshop",
    "n03127925": "crate",
    "n03146219": "cuirass",
    "n03272010": "electric guitar",
    "n03544143": "hourglass",
    "n03775546": "mixing bowl",
    "n04146614": "school bus",
    "n04149813": "scoreboard",
    "n04418357": "theater curtain",
    "n04522168": "vase",
    "n07613480": "trifle",
}


class MiniImageNet(Task):
    """Twenty-way classification of 84 x 84 photographs: 6,000 support and 6,000 query images.

    The hub's copy has the photographs at full size, 500 a class in ``train`` and 100 in ``validation``, which together
    are the 600 of the benchmark; its own ``test`` is another one and is not read.
    """

    variants: ClassVar = {"ids": "WordNet ids as class names, which mean nothing to a model"}
    kind = Kind.IMAGE_CLASSIFICATION
    prompts = ("A photo of a {label}.",)
    protocol = Protocol(episodes=600, queries=20)
    size = "6,000 support and 6,000 query images of 20 classes"
    citation = (
        "Vinyals et al., arXiv 1606.04080; classes of Ravi & Larochelle, ICLR 2017; "
        "from ImageNet, for non-commercial research"
    )
    source = Source(
        "mini_imagenet", "timm/mini-imagenet", "bd8779f9d33c061ea6e75fdd3bce4e43dd679060", ("train", "validation")
    )

    def __init__(self, names: Literal["ids"] | None = None) -> None:
        """Choose the class names.

        Args:
            names: "ids" for WordNet ids; None for readable names.
        """
        self.classes = tuple(CLASSES.values())
        if names == "ids":
            self.classes = tuple(CLASSES)
            # What a model learns of such a class comes from its examples alone.
            self.prior_strength = 0.0

    def load(self, data: Path | None) -> TaskData:
        """Read halves of each class by seed 42 (arXiv 2605.04651), drawn by this project's own generator.

        Args:
            data: Folder of local copies; None for the hub.

        Returns:
            Both halves.
        """
        splits, revision = self.source.load(data)
        rows = {f"mini_imagenet {split}": part for split, part in splits.items()}
        labels = np.concatenate([_labels(name, part) for name, part in rows.items()])
        parts = [encoded_images(name, part, "image") for name, part in rows.items()]
        inputs = datasets.concatenate_datasets(parts).with_transform(_small)
        tested = np.flatnonzero(labels >= 0)
        support, query = (tested[half] for half in stratified_halves(labels[tested], SPLIT_SEED))
        return TaskData(
            Pool(inputs.select(support), labels[support]),
            Pool(inputs.select(query), labels[query]),
            self.classes,
            f"{revision}; halves {SPLIT_SEED}, {SIZE} pixels",
        )


def _labels(name: str, rows: Dataset) -> np.ndarray:
    """``[row]`` positions in CLASSES, -1 for the benchmark's other classes."""
    require_columns(name, rows, "image", "label")
    feature = rows.features["label"]
    known = feature.names if isinstance(feature, datasets.ClassLabel) else []
    missing = sorted(set(CLASSES) - set(known))
    if missing:
        raise DataError(f"{name} needs a column 'label' with WordNet ids as class names; not there: {missing[0]}")
    order = list(CLASSES)
    positions = np.array([order.index(wnid) if wnid in CLASSES else -1 for wnid in known])
    found: np.ndarray = positions[np.asarray(rows["label"])]
    return found


def _small(batch: dict[str, list[dict[str, bytes | str]]]) -> dict[str, list[Image.Image]]:
    # Squashed, not cropped, by the mean over areas: how the published copies were made.
    return {"input": [image.resize((SIZE, SIZE), Image.Resampling.BOX) for image in decoded(batch)["input"]]}


PLUGIN = MiniImageNet
