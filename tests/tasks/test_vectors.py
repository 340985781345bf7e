"""The task and backbone ``vectors``: a user's own embeddings, in each format, from files to a table of methods."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset

import bench
from bench import registry
from bench.contracts import DataError, TaskData
from tests.helpers.command import one_line

NAMES = np.array(["apple", "pear", "plum"])


def drawn(seed: int, per_class: int = 6, width: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around three centres, and the numbers of their classes."""
    labels = np.repeat(np.arange(3), per_class)
    noise = np.random.default_rng(seed).standard_normal((len(labels), width))
    return (4 * np.eye(3, width)[labels] + noise).astype(np.float32), labels


def parquet(folder: Path, split: str, vectors: Any, labels: np.ndarray) -> None:
    rows = Dataset.from_dict({"id": list(range(len(labels))), "embedding": vectors, "label": NAMES[labels].tolist()})
    rows.to_parquet(folder / f"{split}.parquet")


def arrow(folder: Path, split: str, vectors: Any, labels: np.ndarray) -> None:
    table = pa.table({"embedding": list(vectors), "label": NAMES[labels].tolist()})
    with pa.ipc.new_file(str(folder / f"{split}.arrow"), table.schema) as writer:
        writer.write_table(table)


def npz(folder: Path, split: str, vectors: Any, labels: np.ndarray) -> None:
    np.savez(folder / f"{split}.npz", embeddings=vectors, labels=NAMES[labels])


def npy(folder: Path, split: str, vectors: Any, labels: np.ndarray) -> None:
    np.save(folder / f"{split}.npy", vectors)
    np.save(folder / f"{split}_labels.npy", NAMES[labels])


FORMATS = (parquet, npz, npy, arrow)


def write(folder: Path, form: Callable[..., None]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, split in enumerate(("train", "test")):
        form(folder, split, *drawn(seed))
    return folder


def load(data: Path | None, argument: str = "") -> TaskData:
    return registry.make_task(f"vectors:{argument}" if argument else "vectors").load(data)


def test_every_format_holds_the_same_vectors(tmp_path: Path) -> None:
    found = [load(write(tmp_path / form.__name__, form)) for form in FORMATS]
    for data in found:
        assert data.classes == tuple(NAMES)
        for seed, pool in enumerate((data.support, data.query)):
            vectors, labels = drawn(seed)
            np.testing.assert_array_equal(np.stack([row["input"] for row in pool.inputs]), vectors)
            assert pool.labels.tolist() == labels.tolist()
    assert load(None, str(tmp_path / "npz")).revision == found[1].revision
    (tmp_path / "npy" / "train_labels.npy").unlink()
    np.save(tmp_path / "npy" / "train_labels.npy", NAMES[drawn(0)[1]][::-1])
    assert load(tmp_path / "npy").revision != found[2].revision, "labels in a file of their own count"


def test_one_table_is_halved_and_may_be_named_itself(tmp_path: Path) -> None:
    vectors, labels = drawn(0)
    np.save(tmp_path / "vectors.npy", vectors.astype(np.float64))
    np.save(tmp_path / "labels.npy", labels)
    halves = load(None, str(tmp_path / "vectors.npy"))
    assert halves.classes == ("0", "1", "2")
    assert np.bincount(halves.support.labels).tolist() == np.bincount(halves.query.labels).tolist() == [3, 3, 3]
    assert "half of the 18 vectors" in halves.notes[0]
    assert load(tmp_path).revision == halves.revision


def spoiled(row: int, value: float) -> np.ndarray:
    vectors = drawn(0)[0]
    vectors[row] = value
    return vectors


@pytest.mark.parametrize(
    ("form", "vectors", "reason"),
    [
        (parquet, [[1.0] * (8 + (row == 4)) for row in range(18)], "one width, got 8 numbers in most rows and 9 in 1"),
        (npz, spoiled(4, np.nan), "1 of 18 have numbers that are not finite, the first is row 4"),
        (parquet, spoiled(2, np.inf), "1 of 18 have numbers that are not finite, the first is row 2"),
        (npy, spoiled(7, 0.0), "1 of 18 have nothing but zeros, which have no direction, the first is row 7"),
        (npy, drawn(0)[0][:, 0], r"train.npy needs vectors of shape \[row, number\], got \[18\]"),
        (npz, drawn(0)[0].astype(str), "train.npz needs numbers, got <U"),
        (npz, drawn(0)[0][:17], "a label for each vector, got 17 vectors and 18 labels"),
        (npy, drawn(0, width=9)[0], "train and test of one width, got 9 and 8"),
        (parquet, ["no vector"] * 18, "a list of numbers in each row, got string"),
        (npz, np.array([None, "x"] * 9), "cannot be read as NumPy's format"),
        (npy, drawn(1)[0], "not in both; 18 are in both"),
    ],
)
def test_what_is_no_table_of_vectors_is_refused(tmp_path: Path, form: Any, vectors: Any, reason: str) -> None:
    write(tmp_path, form)
    form(tmp_path, "train", vectors, drawn(0)[1])
    with pytest.raises(DataError, match=reason) as refused:
        load(tmp_path)
    assert "\n" not in str(refused.value)


def test_missing_files_and_columns_are_named(tmp_path: Path) -> None:
    for data, argument, reason in (
        (None, "", "give --data DIR or BENCH_DATA with train.parquet"),
        (tmp_path, "", "found no such files in"),
        (None, str(tmp_path / "none.npz"), "none.npz cannot be read"),
    ):
        with pytest.raises(DataError, match=reason):
            load(data, argument)
    np.save(tmp_path / "train.npy", drawn(0)[0])
    with pytest.raises(DataError, match=r"needs its labels beside it, in train_labels\.npy"):
        load(tmp_path)
    np.savez(tmp_path / "own.npz", X=drawn(0)[0], y=drawn(0)[1])
    with pytest.raises(DataError, match=r"files of one format, got own\.npz, train\.npy"):
        load(tmp_path)
    with pytest.raises(DataError, match="needs the array vector or vectors or embedding, got X, y"):
        load(None, str(tmp_path / "own.npz"))
    named = load(None, f"{tmp_path / 'own.npz'}+vector=X+label=y")
    assert len(named.support.labels) == len(named.query.labels) == 9


@pytest.mark.slow
@pytest.mark.parametrize(("form", "methods"), [(parquet, "faast,knn,linear_probe,zero_shot"), (npy, "tip_adapter")])
def test_methods_are_compared_by_one_command(
    tmp_path: Path, in_process: Any, brief_costs: None, monkeypatch: pytest.MonkeyPatch, form: Any, methods: str
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    data, store = write(tmp_path / "data", form), tmp_path / "runs"
    draw = ("--task", "vectors", "--data", data, "--shots", 5, "--queries", 4, "--episodes", 3, "--store", store)
    quick = ("--measure-in", "inline", "--logger", "none")
    code, out, err = in_process("run", *draw, "--method", methods, *quick)
    assert code == 0, err
    records = {record.spec.method: record for record in bench.load(store).records}
    assert {record.spec.backbone for record in records.values()} == {"vectors"}
    if skipped := records.pop("zero_shot", None):
        assert skipped.status == "skipped"
        assert skipped.reason.startswith("no prior: the backbone has no text encoder for class names; ")
        assert " faast, " in skipped.reason
    assert {record.status for record in records.values()} == {"ok"}
    assert all(min(record.episode_scores) > 0.8 for record in records.values())
    said = {name: record.notes.get("class_embeddings", "").split(" (")[0] for name, record in records.items()}
    assert said.items() <= {
        "faast": "one-hot labels, no prior", "knn": "none, no prior", "linear_probe": "",
        "tip_adapter": "one-hot labels, no prior",
    }.items()  # fmt: skip
    assert f"{methods.partition(',')[0]} [no prior]" in out
    # What adds the prior to a classifier is skipped with the same reason, in the plan too.
    _, out, _ = in_process("run", *draw, "--method", "ridge", "--set", "ridge.prior=mix", "--dry-run", *quick)
    assert "no prior: the backbone" in out


def test_a_name_of_a_file_that_is_not_there_is_one_line(tmp_path: Path, in_process: Any) -> None:
    answer = in_process("run", "--task", f"vectors:{tmp_path}/x.npz", "--method", "knn", "--store", tmp_path / "runs")
    assert "x.npz cannot be read" in one_line(answer, 1)


@pytest.mark.slow
def test_a_search_never_chooses_a_prior_that_is_not_there(tmp_path: Path, cache: Path) -> None:
    (write(tmp_path / "data", parquet) / "train.parquet").rename(tmp_path / "data" / "all.parquet")
    (tmp_path / "data" / "test.parquet").unlink()
    bench.sweep(
        task="vectors:vector=embedding", method="nearest_mean", shots=2, trials=8, sampler="grid",
        data=tmp_path / "data", out=tmp_path / "studies", logger="none",
    )  # fmt: skip
    (best,) = (tmp_path / "studies").rglob("best.yaml")
    assert "prior: mix" not in best.read_text()
    (report,) = (tmp_path / "studies").rglob("report.html")
    assert "failed: no prior: the backbone has no text encoder" in report.read_text()
