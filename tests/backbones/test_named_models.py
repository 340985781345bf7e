"""Licence and size of models that users name, by ``bench show``: no weights are read, and nothing is downloaded."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

import bench
from bench.contracts import DataError, UsageError
from tests.helpers.hub import Hub, running_hub

CARD = b"---\nlicense: mit\n---\n# A model\n"
UNKNOWN = "not known: nobody/none is not readable on the hub (it does not exist, or is private or gated"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(monkeypatch, tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    """A file of 1.5 million weights."""
    save_file({"a": torch.zeros(1000, 1000), "b": torch.zeros(500_000)}, tmp_path / "model.safetensors")
    return (tmp_path / "model.safetensors").read_bytes()


def facts(name: str) -> tuple[str, str]:
    (found,) = bench.show(name)
    assert (found.name, found.what) == (name, "backbone")
    assert "\n  licence" in str(found)
    return found.facts["licence"], found.facts["size"]


@pytest.mark.slow
@pytest.mark.parametrize("word", ["st", "hf", "hf_encoder"])
def test_a_model_of_the_hub_by_its_card_and_its_list_of_files(hub: Hub, weights: bytes, word: str) -> None:
    hub.model("them/tiny", {"README.md": CARD, "model.safetensors": weights, "pytorch_model.bin": weights})
    hub.model("them/other", {"pytorch_model.bin": b"x" * 2_500_000})
    assert facts(f"{word}:them/tiny@main") == ("mit", "6 MB of weights")
    assert facts(f"{word}:them/other") == ("not stated", "2.5 MB of weights")
    assert facts(f"{word}:nobody/none")[0].startswith(UNKNOWN)
    assert hub.transfers() == []


def test_a_folder_by_its_card_and_the_heads_of_its_files(tmp_path: Path, weights: bytes) -> None:
    (tmp_path / "README.md").write_bytes(CARD)
    assert facts(f"hf_encoder:{tmp_path},pooling=cls") == ("mit", "1.5 million parameters, 6 MB of weights")
    with pytest.raises(DataError, match=r"needs a folder with config, weights and tokenizer; .*/none is not there"):
        bench.show(f"st:{tmp_path}/none")


@pytest.mark.slow
def test_a_clip_by_the_files_of_its_tag(hub: Hub, tmp_path: Path, weights: bytes) -> None:
    files = {"README.md": CARD, "model.safetensors": weights, "open_clip_model.safetensors": weights}
    hub.model("timm/resnet50_clip.openai", files | {"open_clip_pytorch_model.bin": weights})
    assert facts("open_clip:RN50-quickgelu/openai") == ("mit", "6 MB of weights")
    assert facts(f"open_clip:RN50/{tmp_path}/model.safetensors") == ("not stated", "6 MB of weights")
    with pytest.raises(UsageError, match="open_clip has no model 'RN5'"):
        bench.show("open_clip:RN5/openai")


def test_what_timm_and_torchvision_know_needs_no_network(tmp_path: Path, weights: bytes) -> None:
    net = timm.create_model("resnet18", num_classes=0)
    n_parameters = sum(parameter.numel() for parameter in net.parameters())
    assert facts("timm:resnet18.a1_in1k") == ("apache-2.0", f"{n_parameters / 1e6:.3g} million parameters")
    own = facts(f"timm:resnet18/{tmp_path}/model.safetensors")
    assert own == ("not stated", f"{n_parameters / 1e6:.3g} million parameters, 6 MB of weights")
    assert facts("torchvision:resnet18") == ("not stated", "11.7 million parameters, 46.8 MB of weights")
    assert facts("torchvision:vit_b_16/IMAGENET1K_SWAG_E2E_V1")[0].endswith("/SWAG/blob/main/LICENSE")
    with pytest.raises(DataError, match=r"needs a file of weights; .*none\.pt is not there"):
        bench.show(f"timm:resnet18/{tmp_path}/none.pt")
    with pytest.raises(UsageError, match="timm has no model 'resnet1'; did you mean"):
        bench.show("timm:resnet1")
