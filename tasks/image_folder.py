"""Your own images under --data DIR, in a folder for each class or in Parquet files."""

from pathlib import Path

import numpy as np

from bench.contracts import DataError, Kind, Pool, Protocol, Task, TaskData
from bench.contracts.loading import halves, text_hash
from tasks._folders import Labelled, from_folder, from_parquet

SPLIT_SEED = 0
LAYOUT = "DIR/CLASS/*.jpg, DIR/train/CLASS/*.jpg and DIR/test/CLASS/*.jpg, or DIR/*.parquet"
_SPLITS = {"train", "test"}
_UNUSED = {"val", "valid", "validation"}


class ImageFolder(Task):
    """Classification of images that a user brings.

    They are looked for in ``DIR/image_folder`` if there is such a folder, else in ``DIR`` itself: Parquet
    files if there are any (columns ``image`` and ``label``), else a folder for each class, whose name is the
    class's. Where there are ``train`` and ``test`` (folders of class folders, or files such as
    ``train.parquet`` or ``train-00000-of-00002.parquet``), these support and are asked, and a validation
    split beside them is not read; else half of each class supports and half is asked.
    """

    kind = Kind.IMAGE_CLASSIFICATION
    prompts = ("A photo of a {label}.",)
    protocol = Protocol(n_episodes=600, n_query=20)
    citation = "the user's own; its licence is the user's to know"

    def load(self, data: Path | None) -> TaskData:
        """Read the names of all files, no image. Raises DataError for a layout or file that cannot be used."""
        if data is None:
            raise DataError(f"image_folder reads your own images: give --data DIR or BENCH_DATA with {LAYOUT}")
        root = data / "image_folder" if (data / "image_folder").is_dir() else data
        splits = _read(root)
        if "train" in splits:
            return _as_split(splits["train"], splits["test"])
        return _as_halves(splits["all"], root)


def _read(root: Path) -> dict[str, Labelled]:
    """The images under ``train`` and ``test``, or under ``all``."""
    files = sorted(root.glob("*.parquet"))
    if files:
        names = {file: file.stem.partition("-")[0] for file in files}
        if not _are_splits(set(names.values())):
            return {"all": from_parquet("image_folder", files)}
        chosen = {split: [file for file in files if names[file] == split] for split in _SPLITS}
        return {split: from_parquet(f"image_folder {split}", files) for split, files in chosen.items()}
    folders = {entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    if _are_splits(folders):
        return {split: from_folder(root / split) for split in _SPLITS}
    if not folders:
        raise DataError(f"image_folder found neither class folders nor Parquet files in {root}; it needs {LAYOUT}")
    return {"all": from_folder(root)}


def _are_splits(names: set[str]) -> bool:
    # Among other folders, "train" is a class like any other: a vehicle.
    return names >= _SPLITS and names <= _SPLITS | _UNUSED


def _as_split(train: Labelled, test: Labelled) -> TaskData:
    if train.classes != test.classes:
        odd = sorted(set(train.classes) ^ set(test.classes)) or ["their order"]
        raise DataError(f"image_folder needs the same classes in train and test, which differ in {', '.join(odd[:5])}")
    support, query = (Pool(part.inputs, part.labels) for part in (train, test))
    return TaskData(support, query, _several(train.classes), text_hash(train.revision, test.revision))


def _as_halves(images: Labelled, root: Path) -> TaskData:
    counts = np.bincount(images.labels, minlength=len(images.classes))
    if counts.min() < 2:
        single = images.classes[int(counts.argmin())]
        raise DataError(
            f"image_folder halves each class of {root} into support and query, so it needs 2 images or more of each; "
            f"{single!r} has {counts.min()}"
        )
    support, query = (
        Pool(images.inputs.select(half), images.labels[half]) for half in halves(images.labels, SPLIT_SEED)
    )
    return TaskData(support, query, _several(images.classes), text_hash(images.revision, f"halves {SPLIT_SEED}"))


def _several(classes: tuple[str, ...]) -> tuple[str, ...]:
    if len(classes) < 2:
        raise DataError(f"image_folder needs 2 classes or more, got {', '.join(classes) or 'none'}")
    return classes


PLUGIN = ImageFolder
