from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image
from timm.data import ImageNetInfo

from bench.contracts import DataError, TaskData
from tasks import cifar100
from tasks.mini_imagenet import CLASSES, PLUGIN
from tests.helpers.images import png, write_parquet

# Among other classes and out of order, as on the hub.
WNIDS = ["n01532829", *reversed(CLASSES), "n13133613"]
PER_CLASS = {"train": 5, "validation": 1}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    label = datasets.ClassLabel(names=WNIDS)
    for number, (split, size) in enumerate(PER_CLASS.items()):
        labels = list(range(len(WNIDS))) * size
        # A picture's colour is its class and its copy, so that it is known again.
        images = [
            png(Image.new("RGB", (90, 60), (label, row // len(WNIDS), number))) for row, label in enumerate(labels)
        ]
        write_parquet(tmp_path / "mini_imagenet" / f"{split}.parquet", images, labels, label)
    return tmp_path


def colours(data: TaskData, split: str) -> list[tuple[int, ...]]:
    return [image.getpixel((40, 40)) for image in getattr(data, split).inputs[:]["input"]]


def test_the_test_classes_are_halved_and_their_labels_follow_the_ids(data: Path) -> None:
    task = PLUGIN().load(data)
    assert task.classes == tuple(CLASSES.values())
    for split in ("support", "query"):
        labels = getattr(task, split).labels
        assert np.bincount(labels).tolist() == [3] * 20
        assert [WNIDS[red] for red, _, _ in colours(task, split)] == [list(CLASSES)[label] for label in labels]
    assert len({*colours(task, "support"), *colours(task, "query")}) == 6 * 20


def test_images_are_squashed_to_84_pixels(data: Path) -> None:
    assert {image.size for image in PLUGIN().load(data).query.inputs[:5]["input"]} == {(84, 84)}


def test_ids_share_images_and_halves(data: Path) -> None:
    named, ids = PLUGIN().load(data), PLUGIN("ids").load(data)
    assert ids.classes == tuple(CLASSES)
    assert (PLUGIN("ids").prior_strength, PLUGIN().prior_strength) == (0, None)
    assert colours(ids, "support") == colours(named, "support")
    assert ids.support.labels.tolist() == named.support.labels.tolist()


def test_a_broken_image_is_named(data: Path) -> None:
    label = datasets.ClassLabel(names=WNIDS)
    write_parquet(data / "mini_imagenet" / "validation.parquet", [b"none"] * 22, list(range(22)), label)
    task = PLUGIN().load(data)
    with pytest.raises(DataError, match=r"mini_imagenet validation row \d+ is no readable image"):
        [pool.inputs[:] for pool in (task.support, task.query)]


@pytest.mark.parametrize("label", [datasets.Value("int64"), datasets.ClassLabel(names=WNIDS[3:])])
def test_labels_without_the_ids_are_refused(data: Path, label: object) -> None:
    write_parquet(data / "mini_imagenet" / "train.parquet", [b""] * 3, [0, 1, 2], label)
    with pytest.raises(DataError, match="mini_imagenet train needs a column 'label' with WordNet ids"):
        PLUGIN().load(data)


def test_names_are_imagenets() -> None:
    known = ImageNetInfo("imagenet-1k")
    for wnid, name in CLASSES.items():
        assert name in known.label_name_to_description(wnid, detailed=False).split(", "), wnid


def test_cifar100_reads_the_fine_labels(tmp_path: Path) -> None:
    features = datasets.Features({"img": datasets.Image(), "fine_label": datasets.Value("int64")})
    for split in ("train", "test"):
        (tmp_path / "cifar100").mkdir(exist_ok=True)
        rows = {"img": [{"bytes": png(Image.new("RGB", (32, 32))), "path": None}] * 2, "fine_label": [99, 41]}
        datasets.Dataset.from_dict(rows, features).to_parquet(tmp_path / "cifar100" / f"{split}.parquet")
    task = cifar100.PLUGIN().load(tmp_path)
    assert [task.classes[label] for label in task.query.labels] == ["worm", "lawn mower"]
    assert len(task.classes) == 100
    assert list(task.classes) == sorted(task.classes)
