"""Released readouts: found among other tensors, and refused where they do not fit."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from bench.contracts import DataError
from bench.readouts import files
from bench.readouts.files import released_readouts
from bench.toolkit.readout_files import READOUT, SCORER, read_readouts, write_readouts
from tests.helpers.readouts import WIDTH


def released(width: int = WIDTH, memories: int = 2) -> dict[str, Tensor]:
    tensors = {"transformer.wte.weight": torch.ones(3, 3), "external.layers.0.other.weight": torch.ones(2)}
    for number in range(memories):
        tensors[SCORER.format(number)] = torch.randn(1, 2 * width, dtype=torch.bfloat16)
        tensors[READOUT.format(number)] = torch.randn(width, width, dtype=torch.bfloat16)
    return tensors


def test_released_readouts_stand_among_other_tensors_in_several_files(tmp_path: Path) -> None:
    tensors = released()
    names = sorted(tensors)
    source, out = tmp_path / "released", tmp_path / "out.safetensors"
    source.mkdir()
    for part in range(2):
        some = {name: tensors[name] for name in names[part::2]}
        save_file(some, source / f"model-0000{part + 1}-of-00002.safetensors")
    found = released_readouts(str(source))
    write_readouts(out, found, {"source": str(source)})
    for number, readout in enumerate(read_readouts(out, WIDTH).middle):
        assert torch.equal(readout.scorer, tensors[SCORER.format(number)].float())
        assert torch.equal(readout.out, tensors[READOUT.format(number)].float())


def test_of_a_repository_only_files_with_readouts_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = released(memories=1)
    wanted = {name: tensor for name, tensor in tensors.items() if name in {SCORER.format(0), READOUT.format(0)}}
    save_file(wanted, tmp_path / "model-00002.safetensors")
    placed = {name: f"model-0000{2 if name in wanted else 1}.safetensors" for name in tensors}
    (tmp_path / files.INDEX).write_text(json.dumps({"weight_map": placed}))
    requested: list[tuple[str, ...]] = []

    def fetch(repository: str, kind: str, revision: str, patterns: tuple[str, ...]) -> Path:
        assert (repository, kind) == ("gshbao/faast-gpt2-xl", "model")
        requested.append(patterns)
        return tmp_path

    monkeypatch.setattr(files, "hub_folder", fetch)
    assert len(released_readouts("gshbao/faast-gpt2-xl").middle) == 1
    assert requested == [(files.INDEX,), ("model-00002.safetensors",)]
    (tmp_path / files.INDEX).unlink()
    released_readouts("gshbao/faast-gpt2-xl")
    assert requested[-1] == ("*.safetensors",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({SCORER.format(1): torch.ones(1, WIDTH)}, r"scorer.weight of .* must have shape \(1, 64\), got \(1, 32\)"),
        ({READOUT.format(1): torch.ones(16, 16)}, r"out_proj.weight of .* must have shape \(32, 32\), got \(16, 16\)"),
        ({READOUT.format(0): torch.ones(WIDTH)}, r"out_proj.weight of .* must have shape \(32, 32\), got \(32,\)"),
        (
            {READOUT.format(3): torch.ones(WIDTH, WIDTH)},
            "must hold readouts 0 to 3 without gaps, and has no external.layers.2",
        ),
        ({READOUT.format(0): torch.full((WIDTH, WIDTH), math.inf)}, "must hold finite real numbers"),
    ],
)
def test_released_readouts_that_do_not_fit_are_one_line(
    tmp_path: Path, change: dict[str, Tensor], message: str
) -> None:
    path = tmp_path / "released.safetensors"
    save_file({**released(), **change}, path)
    with pytest.raises(DataError, match=message) as caught:
        released_readouts(str(path))
    assert "\n" not in str(caught.value)


def test_sources_without_readouts_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.safetensors").write_bytes(b"not safetensors")
    save_file({"a": torch.ones(1)}, tmp_path / "plain.safetensors")
    for source, message in (
        ("empty", "must hold \\*.safetensors files"),
        ("broken.safetensors", "cannot be read as safetensors"),
        ("plain.safetensors", "must hold tensors such as external.layers.0.*, and holds no readout"),
        ("gone.safetensors", "must be a file, a folder or an id of the hub"),
    ):
        with pytest.raises(DataError, match=message):
            released_readouts(str(tmp_path / source))
