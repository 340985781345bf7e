"""What a user can get wrong about models, embeddings, templates and sizes: one line that says what was required."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import timm

from bench.testing.tiny_models import save_model

Words = tuple[str, ...]


def without_pooling(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Words:
    """A model of timm whose output is one vector for each patch."""
    (folder / "weights.pt").write_bytes(b"")
    net = timm.create_model("test_vit", num_classes=0, global_pool="")
    monkeypatch.setattr("bench.backbones.timm._loaded", lambda *_: net)
    return ("--task", "digits", "--method", "knn", "--backbone", f"timm:test_vit/{folder}/weights.pt")


def table(folder: Path, rows: list[list[float]]) -> Words:
    """A task of vectors with two classes."""
    labels = [["left", "right"][number % 2] for number in range(len(rows))]
    for split, shift in (("train", 0.0), ("test", 5.0)):
        vectors = [[value + shift for value in row] for row in rows]
        pq.write_table(pa.table({"vector": vectors, "label": labels}), folder / f"{split}.parquet")
    return ("--task", "vectors", "--method", "knn", "--data", str(folder))


def unequal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Words:
    """One row of three numbers among rows of four."""
    return table(folder, [[1.0, row, row, row][: 3 if row == 4 else 4] for row in range(8)])


def not_finite(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Words:
    """A row with NaN."""
    return table(folder, [[1.0, row, row * row, np.nan if row == 4 else 0.0] for row in range(8)])


def no_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Words:
    """A template without ``{text}``."""
    return ("--task", "lexicon", "--method", "zero_shot", "--template", "Word, sentiment:")


def no_variant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Words:
    """A variant that peft does not have."""
    return ("--task", "lexicon", "--method", "peft", "--set", "peft.variant=superlora")


def misspelt_variant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Words:
    """Nearly one that it has."""
    return ("--task", "lexicon", "--method", "peft", "--set", "peft.variant=pisa")


def no_rank(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Words:
    """Fewer parameters than rank 1 has."""
    model = save_model(folder / "model", "llama", context=128)
    chosen = ("--task", "lexicon", "--method", "peft", "--backbone", f"hf:{model}", "--episodes", "1")
    return (*chosen, "--queries", "1", "--budget", "trainable_params=10", "--measure-in", "inline")


def no_auto_rank(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Words:
    """The same by the method's own field."""
    return (*no_rank(folder, monkeypatch)[:-4], "--set", "peft.rank=auto,peft.parameters=10", "--measure-in", "inline")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (without_pooling, "timm:test_vit has no pooled features, which a backbone needs: it has an output of shape ["),
        (unequal, "needs vectors of one width, got 4 numbers in most rows and 3 in 1, the first is row 4; repair"),
        (not_finite, "needs rows of finite numbers, 1 of 8 have numbers that are not finite, the first is row 4"),
        (no_place, "a template of lexicon needs {text} where an item's text stands, got 'Word, sentiment:'; write it"),
        (no_variant, "variant: Input should be 'lora', 'rslora', "),
        (misspelt_variant, "got 'pisa'; did you mean 'pissa'?"),
        (no_rank, "over budget: trainable_params is 224, 10 allowed"),
        (no_auto_rank, "rank=auto needs parameters="),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_is_one_line(
    words: Callable[[Path, pytest.MonkeyPatch], Words],
    reason: str,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_process: Callable[..., tuple[int, str, str]],
) -> None:
    given = words(tmp_path, monkeypatch)
    code, out, error = in_process("run", *given, "--shots", "1", "--store", str(tmp_path / "runs"), "--logger", "none")
    # A run over its budget is a result, with this as its reason.
    assert (code == 0) == (words is no_rank)
    said = [line for line in [*error.splitlines(), *out.splitlines()] if reason in line]
    assert said, error + out
    assert "Traceback" not in error + out
