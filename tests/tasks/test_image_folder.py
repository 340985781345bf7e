import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from bench.contracts import DataError, TaskData
from bench.data import batches as batching
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.results.record import Record
from bench.results.store import Store
from bench.runs.progress import RichReporter
from bench.runs.report import Report
from bench.runs.runner import Runner, same_process
from bench.spec.expand import expand
from bench.spec.suite import Block
from methods._faast_features import FaastOnFeatures
from tasks.image_folder import PLUGIN
from tests.helpers.command import bench, without_progress
from tests.helpers.images import noise, png, write_folders, write_parquet
from tests.helpers.tiny_clip import save


def load(data: Path) -> TaskData:
    return PLUGIN().load(data)


def pixels(data: TaskData) -> set[bytes]:
    return {image.tobytes() for pool in (data.support, data.query) for image in pool.inputs[:]["input"]}


@pytest.mark.parametrize("inner", [".", "image_folder"])
def test_class_folders_are_halved(tmp_path: Path, inner: str) -> None:
    write_folders(tmp_path / inner, {"house_cat": 5, "dog": 4})
    (tmp_path / inner / "README.txt").write_text("beside class folders, anything goes")
    (tmp_path / inner / "dog" / ".DS_Store").write_text("hidden")
    task = load(tmp_path)
    assert task.classes == ("dog", "house cat")
    assert np.bincount(task.support.labels).tolist() == [2, 3]
    assert np.bincount(task.query.labels).tolist() == [2, 2]
    assert len(pixels(task)) == 9
    again = load(tmp_path)
    assert again.revision == task.revision
    assert again.query.labels.tolist() == task.query.labels.tolist()
    noise(99).save(tmp_path / inner / "dog" / "000.png")
    assert load(tmp_path).revision != task.revision


def test_train_and_test_folders_are_taken_as_they_are(tmp_path: Path) -> None:
    for split, size in (("train", 3), ("test", 1), ("val", 2)):
        write_folders(tmp_path / split, {"cat": size, "dog": size})
    task = load(tmp_path)
    assert (len(task.support.labels), len(task.query.labels)) == (6, 2)
    write_folders(tmp_path / "test", {"emu": 1})
    with pytest.raises(DataError, match="same classes in train and test, which differ in emu"):
        load(tmp_path)


def test_train_among_other_vehicles_is_a_class(tmp_path: Path) -> None:
    write_folders(tmp_path, {"bus": 2, "train": 2, "test": 2})
    assert load(tmp_path).classes == ("bus", "test", "train")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("feature", "labels", "classes"),
    [
        (datasets.Value("string"), ["b", "a", "b", "a"], ("a", "b")),
        (datasets.Value("int32"), [1, 0, 1, 0], ("0", "1")),
        (datasets.ClassLabel(names=["x", "y"]), [1, 0, 1, 0], ("x", "y")),
    ],
)
def test_parquet_is_read_with_any_kind_of_label(tmp_path: Path, feature: Any, labels: Any, classes: Any) -> None:
    images = [png(noise(number)) for number in range(6)]
    write_parquet(tmp_path / "mine.parquet", images[:4], labels, feature)
    halved = load(tmp_path)
    assert halved.classes == classes
    assert sorted(halved.support.labels) == sorted(halved.query.labels) == [0, 1]
    assert len(pixels(halved)) == 4
    (tmp_path / "mine.parquet").rename(tmp_path / "train-00000-of-00001.parquet")
    write_parquet(tmp_path / "test.parquet", images[4:], labels[:2], feature)
    split = load(tmp_path)
    assert split.support.labels.tolist() == [1, 0, 1, 0]
    assert split.query.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("feature", "labels", "message"),
    [
        (datasets.Value("int64"), [0, -1, 1, 1], r"needs labels of 0 or more; 1 rows have others, .* row 1 with -1"),
        (datasets.ClassLabel(names=["x", "y"]), [0, 1, 1, -1], r"needs labels in 0\.\.1; .* row 3 with -1"),
        (datasets.Value("string"), ["x", None, "y", "y"], "needs a label in every row, row 1 has none"),
        (datasets.Value("float32"), [0, 1, 1, 0], "needs one integer label per row, got float"),
        (datasets.Value("int64"), [0, 0, 0, 0], "needs 2 classes or more, got 0"),
        (datasets.Value("int64"), [0, 0, 0, 1], "needs 2 images or more of each; '1' has 1"),
    ],
)
def test_labels_out_of_range_are_named(tmp_path: Path, feature: Any, labels: Any, message: str) -> None:
    write_parquet(tmp_path / "mine.parquet", [png(noise(number)) for number in range(4)], labels, feature)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_other_columns_are_named(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"picture": [1], "label": [0]}).to_parquet(tmp_path / "mine.parquet")
    with pytest.raises(DataError, match="needs the columns 'image' and 'label', got picture, label"):
        load(tmp_path)


def test_what_is_no_image_by_its_name_is_counted_and_named(tmp_path: Path) -> None:
    write_folders(tmp_path, {"cat": 2, "dog": 2})
    for name in ("notes.txt", "labels.csv", "model.bin", "one_more"):
        (tmp_path / "cat" / name).write_text("no image")
    with pytest.raises(DataError, match=r"4 entries of class folders are no images .*labels\.csv.*notes\.txt, \.\.\."):
        load(tmp_path)


def test_images_outside_class_folders_are_refused(tmp_path: Path) -> None:
    write_folders(tmp_path, {"cat": 2, "dog": 2})
    noise(0).save(tmp_path / "lost.png")
    with pytest.raises(DataError, match=r"1 images in .* are in no class folder; .*lost\.png"):
        load(tmp_path)


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    write_folders(tmp_path, {"cat": 2, "dog": 2, "emu": 0})
    with pytest.raises(DataError, match=r"1 class folders are empty; add images or remove them: .*emu"):
        load(tmp_path)


def test_a_class_of_one_image_cannot_be_halved(tmp_path: Path) -> None:
    write_folders(tmp_path, {"cat": 2, "dog": 1})
    with pytest.raises(DataError, match=r"halves each class .* needs 2 images or more of each; 'dog' has 1"):
        load(tmp_path)


@pytest.mark.parametrize("data", [None, "empty"])
def test_no_data_names_the_layout(tmp_path: Path, data: str | None) -> None:
    with pytest.raises(DataError, match=r"DIR/CLASS/\*\.jpg"):
        PLUGIN().load(data and tmp_path)  # type: ignore[arg-type]


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    write_folders(tmp_path, {"cat": 2, "dog": 2})
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held sideways
    for number in range(2):
        Image.new("RGB", (30, 10), (number, 0, 0)).save(tmp_path / "cat" / f"{number:03}.png", exif=exif)
    assert [image.size for image in load(tmp_path).support.inputs[:]["input"]] == [(10, 30), (12, 12)]


@pytest.fixture
def runner(cache: Path, tmp_path: Path) -> Runner:
    quiet_lightning()
    reporter = RichReporter(Console(file=io.StringIO()))
    devices = DeviceOptions(accelerator="cpu", batch_size=64)
    return Runner(Store(tmp_path / "store"), devices, reporter, tmp_path / "data", isolate=same_process)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = save(tmp_path_factory.mktemp("weights") / "checkpoint.pt", "tiny-vit")
    return f"open_clip:tiny-vit/{path}"


def run(runner: Runner, **block: Any) -> Report:
    requested = {"task": "image_folder", "methods": ["faast"], "shots": ["full"], "queries": "all"} | block
    return runner.run(expand(Block.model_validate(requested)))


def only(report: Report) -> Record:
    assert not report.problems
    (record,) = report.records
    return record


@pytest.mark.slow
def test_images_of_any_mode_and_size_are_used(runner: Runner, clip: str, tmp_path: Path) -> None:
    odd = {
        "grey": ("L", (9, 9), "png"),
        "print": ("CMYK", (9, 9), "jpg"),
        "palette": ("P", (9, 9), "gif"),
        "alpha": ("RGBA", (9, 9), "png"),
        "pixel": ("RGB", (1, 1), "bmp"),
        "deep": ("I;16", (9, 9), "tif"),
        "line": ("1", (700, 1), "webp"),
    }
    for name, (mode, size, suffix) in odd.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(2):
            image = Image.new(mode, size, 100 * number)
            if mode == "P":
                image = Image.new("RGB", size, (100 * number, 0, 0)).convert("P")
            (image.convert("RGB") if suffix == "webp" else image).save(
                tmp_path / "data" / name / f"{number}.{suffix.upper()}"
            )
    record = only(run(runner, backbone=clip))
    assert record.status == "ok", record.reason
    assert record.n_queries == len(odd)


@pytest.mark.parametrize("classes", [("dog",), ("cat", "dog")])
def test_unreadable_files_are_counted_and_named(tmp_path: Path, classes: tuple[str, ...]) -> None:
    folder = write_folders(tmp_path / "data", {"cat": 4, "dog": 24})
    paths = [path for name in classes for path in sorted((folder / name).iterdir())][:7]
    for path, content in zip(paths, damaged(paths[-1].read_bytes()), strict=True):
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"has 7 images that cannot be read: .*; \.\.\.; repair or remove") as caught:
        load(tmp_path / "data")
    assert str(caught.value).count("is no readable image") == 3
    assert str(paths[0]) in str(caught.value)
    assert "\n" not in str(caught.value)


def damaged(whole: bytes) -> list[bytes]:
    """Files whose decoders raise errors of seven kinds."""
    avif, dds = io.BytesIO(), io.BytesIO()
    noise(1).resize((48, 48)).save(avif, "AVIF")
    noise(1).save(dds, "DDS")
    header = bytearray(dds.getvalue())
    header[80:88] = b"\4\0\0\0ABCD"  # a compression that nobody knows
    bomb = bytearray(whole)
    bomb[16:24] = b"\0\0\xff\xff" * 2  # the sides that a PNG claims
    return [
        b"",
        b"no image",
        whole[:60],
        avif.getvalue()[:-40],
        bytes(header),
        bytes(bomb),
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
    ]


def test_parquet_without_bytes_is_read_from_the_path_beside_it(tmp_path: Path) -> None:
    write_folders(tmp_path / "files", {"cat": 2, "dog": 2})
    paths = [f"../files/{name}/00{number}.png" for name in ("cat", "dog") for number in range(2)]
    rows = {"image": [{"bytes": None, "path": path} for path in paths], "label": ["cat", "cat", "dog", "dog"]}
    (tmp_path / "data").mkdir()
    table = datasets.Dataset.from_dict(rows)
    table.to_parquet(tmp_path / "data" / "mine.parquet")
    task = load(tmp_path / "data")
    assert len(pixels(task)) == 4
    noise(99).save(tmp_path / "files" / "cat" / "000.png")
    assert load(tmp_path / "data").revision != task.revision
    (tmp_path / "files" / "cat" / "000.png").unlink()
    with pytest.raises(DataError, match=r"has 1 images without bytes .*: row 0 \(\.\./files/cat/000\.png\); add"):
        load(tmp_path / "data")


@pytest.mark.parametrize(("name", "place"), [("cat", "c\udcff"), ("cat/000.png", "cat/\udcff.png")])
def test_a_name_that_is_not_utf_8_is_refused_in_its_escaped_form(tmp_path: Path, name: str, place: str) -> None:
    write_folders(tmp_path, {"cat": 2, "dog": 2})
    (tmp_path / name).rename(tmp_path / place)
    with pytest.raises(DataError, match=r"\d names are no UTF-8; rename these: .*\\udcff"):
        load(tmp_path)


@pytest.mark.slow
def test_full_support_is_streamed_and_leaves_nothing_behind(
    runner: Runner, clip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folders(tmp_path / "data", {"cat": 80, "dog": 80})
    alone = {"backbone": clip, "set": {"faast": {"prior_strength": 0}}}
    whole = only(run(runner, **alone))
    assert whole.value is not None
    assert whole.value > 90
    widths = []
    observe = FaastOnFeatures.observe

    def watched(self: Any, support: Any) -> None:
        widths.append(support.keys.shape[1])
        observe(self, support)

    monkeypatch.setattr(FaastOnFeatures, "observe", watched)
    monkeypatch.setattr(batching, "ITEMS_AT_ONCE", 32)
    forced = Runner(runner.store, runner.devices, runner.reporter, runner.data, force=True, isolate=same_process)
    streamed = only(run(forced, **alone))
    assert streamed.value == whole.value
    assert widths[-3:] == [32, 32, 16]
    # More than there are dimensions; with fewer FaastOnFeatures keeps the keys, which are smaller then.
    few = only(run(forced, shots=[30], **alone))
    assert few.costs is not None
    assert streamed.costs is not None
    assert streamed.costs.state_mb == few.costs.state_mb


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--shots", 5], 2, "class 'dog' has 4 support items, 5 required; use --shots 4 or fewer"),
        (["--shots", 1, "--queries", 20], 2, "class 'dog' has 3 query items, 20 required; use --queries 3 or fewer"),
        (["--ways", 3, "--shots", 1], 2, "image_folder has 2 classes; --ways must lie in 2..2, got 3"),
    ],
)
def test_more_than_there_is_is_refused_on_the_command_line(
    options: list[object], code: int, message: str, clip: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    write_folders(tmp_path / "data", {"cat": 50, "dog": 7})
    requested = ["run", "--task", "image_folder", "--method", "faast", "--backbone", clip, "--data", tmp_path / "data"]
    rest = ["--store", tmp_path / "store", "--logger", "none"]
    ended, _, errors = bench(monkeypatch, capsys, *requested, *rest, *options)
    held_out, *_, refused = without_progress(errors)
    assert "half of the 57 images in" in held_out
    assert (ended, refused) == (code, f"bench: image_folder: {message}".replace("image_folder: image_", "image_"))


def test_data_that_cannot_be_used_ends_the_command_with_one_line(
    clip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    write_folders(tmp_path / "data", {"cat": 2, "dog": 0})
    for folder, start in (
        ("data", "bench: image_folder: 1 class folders are empty; add images or remove them:"),
        ("empty", "bench: image_folder found neither class folders nor arrow or csv or jsonl or parquet files in"),
    ):
        requested = ["run", "--task", "image_folder", "--method", "faast", "--backbone", clip, "--logger", "none"]
        places = ["--data", tmp_path / folder, "--store", tmp_path / "store"]
        ended, _, errors = bench(monkeypatch, capsys, *requested, *places)
        assert ended == 1
        assert " ".join(without_progress(errors)).startswith(start)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    write_folders(tmp_path, {"cat": 2, "dog": 2})
    (tmp_path / "cat" / "link.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(DataError, match=r"cat/link\.png cannot be read: .*No such file"):
        load(tmp_path)
