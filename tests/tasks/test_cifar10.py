from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from bench.contracts import DataError
from bench.toolkit import sources as loading
from bench.toolkit.splits import stratified_halves
from tasks.cifar10 import PLUGIN
from tests.helpers.images import png
from tests.helpers.places import SHARED


def red(value: int) -> bytes:
    return png(Image.new("RGB", (32, 32), (value, 0, 0)))


def write(folder: Path, images: list[bytes], split: str, columns: tuple[str, str] = ("img", "label")) -> None:
    (folder / "cifar10").mkdir(exist_ok=True, parents=True)
    features = datasets.Features({columns[0]: datasets.Image(), columns[1]: datasets.Value("int64")})
    rows = {columns[0]: [{"bytes": image, "path": "x.png"} for image in images], columns[1]: list(range(len(images)))}
    Dataset.from_dict(rows, features).to_parquet(folder / "cifar10" / f"{split}.parquet")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write(tmp_path, [red(value) for value in range(4)], "train")
    write(tmp_path, [red(value) for value in range(4, 7)], "test")
    return tmp_path


def test_local_files_are_read(data: Path) -> None:
    task = PLUGIN().load(data)
    assert task.support.labels.tolist() == [0, 1, 2, 3]
    assert [image.getpixel((0, 0))[0] for image in task.query.inputs[[2, 0]]["input"]] == [6, 4]
    assert task.support.inputs.select([3])[0]["input"].getpixel((0, 0))[0] == 3


def test_revision_follows_the_bytes(data: Path) -> None:
    before = PLUGIN().load(data).revision
    assert PLUGIN().load(data).revision == before
    write(data, [red(9)], "test")
    assert PLUGIN().load(data).revision != before


@pytest.mark.parametrize("broken", [b"no image", b"", red(1)[:60]])
def test_a_broken_image_is_named_and_the_others_are_not_lost(data: Path, broken: bytes) -> None:
    write(data, [red(0), red(1), broken], "test")
    query = PLUGIN().load(data).query
    assert query.inputs[1]["input"].size == (32, 32)
    with pytest.raises(DataError, match="cifar10 test row 2 is no readable image") as caught:
        query.inputs[[0, 2]]
    assert "\n" not in str(caught.value)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar10/train\.parquet and .*cifar10/test\.parquet"):
        PLUGIN().load(tmp_path)


def test_a_file_cut_short_is_one_line(data: Path) -> None:
    path = data / "cifar10" / "test.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read") as caught:
        PLUGIN().load(data)
    assert "\n" not in str(caught.value)


def test_other_columns_are_named(data: Path) -> None:
    write(data, [red(0)], "test", columns=("image", "fine_label"))
    with pytest.raises(DataError, match="'img' and 'label', got image, fine_label"):
        PLUGIN().load(data)


def test_an_unreachable_hub_names_the_local_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> Any:
        raise ConnectionError("Name or service\nnot known")

    monkeypatch.setattr("bench.toolkit.sources.HfApi.repo_info", no_network)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=r"--data DIR or BENCH_DATA with DIR/cifar10/train\.parquet") as caught:
        PLUGIN().load(None)
    assert "\n" not in str(caught.value)


def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.toolkit.sources.HfApi.repo_info", lambda *_, **__: None)
    monkeypatch.setattr(loading, "snapshot_download", lambda *_, **__: str(folder))


def test_a_hub_snapshot_is_read_and_its_commit_is_the_revision(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in ("train", "test"):
        (data / "cifar10" / f"{split}.parquet").rename(data / "cifar10" / f"{split}-00000-of-00001.parquet")
    hub(data, monkeypatch)
    task = PLUGIN().load(None)
    assert len(task.support.labels) == 4
    assert task.revision == "uoft-cs/cifar10@0b2714987fa478483af9968de7c934580d0bb9a2"


def test_a_snapshot_with_files_missing_is_not_taken_for_whole(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in ("train", "test"):
        (data / "cifar10" / f"{split}.parquet").rename(data / "cifar10" / f"{split}-00000-of-00002.parquet")
    hub(data, monkeypatch)
    with pytest.raises(DataError, match="1 files of train"):
        PLUGIN().load(None)


def test_halves_are_disjoint_balanced_and_fixed_by_the_seed() -> None:
    labels = np.random.default_rng(0).integers(0, 5, 101)
    first, second = stratified_halves(labels, 3)
    assert sorted([*first, *second]) == list(range(101))
    assert set(np.bincount(labels[first]) - np.bincount(labels[second])) <= {0, 1}
    assert first.tolist() == stratified_halves(labels, 3)[0].tolist()
    assert first.tolist() != stratified_halves(labels, 4)[0].tolist()


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "cifar10").is_dir(), reason=f"no cifar10 in {SHARED}")
def test_the_published_images_are_read() -> None:
    task = PLUGIN().load(SHARED)
    assert np.bincount(task.support.labels).tolist() == [5000] * 10
    assert np.bincount(task.query.labels).tolist() == [1000] * 10
    assert [image.size for image in task.query.inputs[[0, 9999]]["input"]] == [(32, 32)] * 2
