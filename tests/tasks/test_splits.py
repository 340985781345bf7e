"""Splits are those that the user named, or are refused; no item is in both pools; no two classes look alike."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.contracts import DataError
from tasks.image_folder import ImageFolder
from tasks.text_folder import TextFolder
from tests.helpers.images import noise, write_folders
from tests.helpers.places import ROOT

CASES = ROOT.parent / "shared" / "cases"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the small inputs that fail are not here")


def write_tables(root: Path, *names: str) -> None:
    root.mkdir(exist_ok=True)
    for name in names:
        rows = [f"{name} {label} {number},{label}" for label in ("good", "bad") for number in range(3)]
        (root / name).write_text("\n".join(["text,label", *rows]))


@pytest.mark.parametrize(
    ("train", "test", "other"),
    [
        ("train", "test", "dev"),
        ("Training", "eval", "VALID"),
        ("TRAIN", "Test", "validation"),
        ("train", "EVAL", "val"),
    ],
)
def test_names_of_splits_are_read_in_any_case(tmp_path, train, test, other):
    write_tables(tmp_path / "tables", f"{train}.csv", f"{test}.csv", f"{other}.csv")
    tables = TextFolder().load(tmp_path / "tables")
    for split in (train, test, other):
        write_folders(tmp_path / "folders" / split, {"cat": 2, "dog": 2})
    folders = ImageFolder().load(tmp_path / "folders")
    assert (len(tables.support.labels), len(tables.query.labels)) == (6, 6)
    assert all(train in text for text in tables.support.inputs["input"])
    assert all(test in text for text in tables.query.inputs["input"])
    assert (len(folders.support.labels), len(folders.query.labels)) == (4, 4)
    assert tables.notes == folders.notes == ()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train.csv", "test.csv", "holdout.csv"], "cannot say to which split these of .* belong: holdout.csv; known"),
        (["train.csv", "training.csv", "test.csv"], "needs one train split in .*, got train and training; keep one"),
        (["train.csv", "dev.csv"], "needs train and test in .*, test is missing beside dev, train"),
        (["test.csv"], "needs train and test in .*, train is missing beside test"),
        (["train-00000-of-00002.csv", "test.csv"], "needs all 2 shards of train, 1 are missing: 1; add them"),
        (["mine-00001-of-00003.csv"], "needs all 3 shards of mine, 2 are missing: 0, 2"),
    ],
)
def test_what_fits_no_split_is_refused_by_name(tmp_path, names, message):
    write_tables(tmp_path, *names)
    with pytest.raises(DataError, match=message):
        TextFolder().load(tmp_path)


def test_a_folder_beside_those_of_splits_is_refused(tmp_path):
    for split in ("train", "test", "more"):
        write_folders(tmp_path / split, {"cat": 2, "dog": 2})
    with pytest.raises(DataError, match=r"cannot say to which split these of .* belong: more"):
        ImageFolder().load(tmp_path)


def test_a_pool_that_is_halved_says_so_and_leaves_copies_out(tmp_path):
    folder = write_folders(tmp_path, {"cat": 6, "dog": 6})
    noise(5).save(folder / "cat" / "a.png")
    noise(5).save(folder / "cat" / "b.bmp")
    data = ImageFolder().load(tmp_path)
    assert len(data.support.labels) + len(data.query.labels) == 13
    assert data.notes == (
        f"half of the 13 images in {tmp_path} are held out for queries; train and test name splits",
        f"1 of 14 images in {tmp_path} are copies and are not used",
    )
    noise(5).save(folder / "dog" / "c.png")
    with pytest.raises(DataError, match="needs one label for the same images, got two for an image of 12 x 12 pixels"):
        ImageFolder().load(tmp_path)


def test_an_image_in_both_splits_is_refused(tmp_path):
    for split in ("train", "test"):
        write_folders(tmp_path / split, {"cat": 2, "dog": 2})
        noise(5).save(tmp_path / split / "cat" / f"{split}.png")
    with pytest.raises(DataError, match="in support or in query, not in both; 1 are in both: an image of 12 x 12 pix"):
        ImageFolder().load(tmp_path)


def test_images_of_one_palette_index_and_other_colours_are_no_copies(tmp_path):
    for number, name in enumerate(("red", "green")):
        (tmp_path / name).mkdir()
        for shade in range(2):
            colour = [0, 0, 0]
            colour[number] = 255 - shade
            Image.new("RGB", (4, 4), tuple(colour)).convert("P", palette=Image.Palette.ADAPTIVE).save(
                tmp_path / name / f"{shade}.png"
            )
    data = ImageFolder().load(tmp_path)
    assert len(data.notes) == 1


def test_labels_that_look_alike_are_one_class_or_an_error(tmp_path):
    name = "café"
    forms = [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
    rows = [f"text {number},{label}" for number, label in enumerate([*forms, f"{name} ", "bar", "bar", "bar"])]
    (tmp_path / "mine.csv").write_text("\n".join(["text,label", *rows]))
    data = TextFolder().load(tmp_path)
    assert data.classes == (" bar", " café")
    assert np.bincount(np.concatenate([data.support.labels, data.query.labels])).tolist() == [3, 3]
    write_folders(tmp_path / "images", {"hot_dog": 2, "hot dog": 2})
    with pytest.raises(DataError, match="class folders that a reader can tell apart, got 'hot dog' and 'hot_dog'"):
        ImageFolder().load(tmp_path / "images")


def test_a_class_folder_whose_name_is_no_text_is_refused_by_its_escaped_name(tmp_path):
    write_folders(tmp_path, {"cat": 2, "dog": 2})
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    with pytest.raises(DataError, match=r"1 names are no UTF-8; rename these: .*caf\\udce9"):
        ImageFolder().load(tmp_path)


@needs_cases
@pytest.mark.parametrize(
    ("case", "task", "expected"),
    [
        ("06", TextFolder, (12, 12)),
        ("07", TextFolder, "needs all 2 shards of train, 1 are missing: 1"),
        ("10", ImageFolder, "tell apart"),
        ("11", TextFolder, None),
    ],
)
def test_small_inputs_that_failed(case, task, expected):
    if isinstance(expected, str):
        with pytest.raises(DataError, match=expected):
            task().load(CASES / case)
        return
    data = task().load(CASES / case)
    assert len(set(data.classes)) == len({unicodedata.normalize("NFC", name) for name in data.classes})
    if expected:
        assert (len(data.support.labels), len(data.query.labels)) == expected
