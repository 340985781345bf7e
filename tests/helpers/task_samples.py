"""Small local samples of the data that tasks read, as ``--data`` takes them."""

from pathlib import Path

import datasets
import numpy as np
from datasets import Dataset
from PIL import Image

from bench.contracts import Task
from bench.toolkit.sources import Source
from tasks._longicl import PARTS
from tasks._published_split import PublishedSplit
from tasks._texts import PublishedTexts
from tasks._translation import LANGUAGES, Translation
from tasks.gsm8k import Gsm8k
from tasks.image_folder import ImageFolder
from tasks.longicl import LongIcl
from tasks.longicl_choice import LongIclChoice
from tasks.mini_imagenet import CLASSES, MiniImageNet
from tasks.text_file import TextFile
from tasks.text_folder import TextFolder
from tasks.vectors import Vectors
from tasks.wikitext103 import WikiText103
from tests.helpers import longicl_rows
from tests.helpers.images import png, write_folders
from tests.helpers.text_rows import write_rows

PER_CLASS = 2
"""Items of each class in a split."""


def write_sample(task: Task, folder: Path) -> Path | None:
    """Write a few items of each class in each split.

    Args:
        task: The task that is to read them.
        folder: Where to write.

    Returns:
        The folder; None for a task that brings its own data.
    """
    if isinstance(task, ImageFolder):
        return write_folders(folder, {"cat": 4, "dog": 4})
    if isinstance(task, Vectors):
        folder.mkdir(parents=True, exist_ok=True)
        for seed, split in enumerate(("train", "test")):
            vectors = np.random.default_rng(seed).standard_normal((2 * PER_CLASS, 8))
            rows = {"vector": vectors, "label": [0, 1] * PER_CLASS}
            Dataset.from_dict(rows).to_parquet(folder / f"{split}.parquet")
        return folder
    if isinstance(task, TextFolder):
        for split in ("train", "test"):
            texts = [f"{split} {number}" for number in range(2 * PER_CLASS)]
            write_rows(folder / f"{split}.parquet", texts, [0, 1] * PER_CLASS)
        return folder
    if isinstance(task, TextFile):
        for split in ("train", "test"):
            write_rows(folder / f"{split}.parquet", [f"Text {number} of {split}." for number in range(3)], [0] * 3)
        return folder
    if isinstance(source := getattr(task, "source", None), Source):
        for number, choices in enumerate(source.splits):
            split = choices if isinstance(choices, str) else choices[0]
            path = folder / source.folder / f"{split}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            _rows(task, split, number).to_parquet(path)
        return folder
    return None


def _rows(task: Task, split: str, number: int) -> Dataset:
    """Rows of the columns that a task reads; no two are alike."""
    if isinstance(task, WikiText103):
        return Dataset.from_dict({"text": ["", f" = Title of {split} = \n", "", f" Text of {split} . \n"]})
    if isinstance(task, LongIcl | LongIclChoice):
        return longicl_rows.rows(next(name for name, part in PARTS.items() if part is task.part))
    if isinstance(task, Gsm8k):
        questions = [f"How many are {number} in {split}?" for number in range(PER_CLASS)]
        solutions = [f"There are {number}.\n#### {number}" for number in range(PER_CLASS)]
        return Dataset.from_dict({"question": questions, "answer": solutions})
    if isinstance(task, Translation):
        pairs = [{code: f"{split} {item} in {code}" for code in LANGUAGES} for item in range(PER_CLASS)]
        return Dataset.from_dict({"translation": pairs})
    if isinstance(task, PublishedTexts):
        labels = list(range(len(task.classes))) * PER_CLASS
        text, label = task.columns
        return Dataset.from_dict({text: [f"{split} {item}" for item in range(len(labels))], label: labels})
    if isinstance(task, MiniImageNet):
        return _images("image", "label", len(CLASSES), number, datasets.ClassLabel(names=list(CLASSES)))
    assert isinstance(task, PublishedSplit), f"{type(task).__name__} needs a sample of its data here"
    return _images(*task.columns, len(task.classes), number, datasets.Value("int64"))


def _images(image: str, label: str, n_classes: int, number: int, feature: object) -> Dataset:
    labels = list(range(n_classes)) * PER_CLASS
    pixels = np.random.default_rng(number).integers(0, 255, (len(labels), 8, 8, 3), dtype=np.uint8)
    files = [{"bytes": png(Image.fromarray(each)), "path": None} for each in pixels]
    return Dataset.from_dict(
        {image: files, label: labels}, datasets.Features({image: datasets.Image(), label: feature})
    )
