"""The contract suites of backbones: on random weights of each family, and on the packaged models."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import registry
from bench.backbones.open_clip import OpenClip
from bench.contracts import Backbone, LanguageBackbone
from bench.testing.backbone_contract import BackboneContract
from bench.testing.language_backbone_contract import LanguageBackboneContract
from bench.testing.tiny_models import save_model
from tests.helpers.tiny_clip import VISION, save


class TestHf(LanguageBackboneContract):
    @pytest.fixture(scope="class", params=["llama", "gpt2", "qwen2"])
    def backbone(self, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
        return registry.make_backbone(f"hf:{save_model(tmp_path_factory.mktemp('hf'), request.param)}")


class TestOpenClip(BackboneContract):
    @pytest.fixture(scope="class", params=VISION)
    def backbone(self, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
        return OpenClip(f"{request.param}/{save(tmp_path_factory.mktemp('clip') / 'weights.pt', request.param)}")


class TestVectors(BackboneContract):
    @pytest.fixture(scope="class")
    def backbone(self) -> Backbone:
        return registry.make_backbone("vectors")


class TestOutside(BackboneContract):
    @pytest.fixture
    def backbone(self, outside: Path) -> Backbone:
        return registry.make_backbone("pixels")


@pytest.mark.slow
class TestEfficientNetLite0(BackboneContract):
    @pytest.fixture(scope="class")
    def backbone(self, efficientnet_lite0: Backbone) -> Backbone:
        return efficientnet_lite0


@pytest.mark.slow
class TestSmolLM2(LanguageBackboneContract):
    @pytest.fixture(scope="class")
    def backbone(self, smollm2: LanguageBackbone) -> LanguageBackbone:
        return smollm2

    @pytest.fixture
    def long_text(self) -> str:
        return "very good, very bad: indeed " * 15

    @pytest.mark.parametrize("context", ["Word: good\nSentiment: positive\n"])
    def test_answers_are_scored_as_plain_passes_score_them(
        self, backbone: LanguageBackbone, inputs: Sequence[str], answers: tuple[str, ...], context: str
    ) -> None:
        """After one of TestHf's contexts, by the same code: plain passes of a large model take seconds."""
        super().test_answers_are_scored_as_plain_passes_score_them(backbone, inputs, answers, context)

    @pytest.mark.parametrize(("window", "stride"), [(16, None)])
    def test_texts_are_scored_as_plain_passes_score_them(
        self, short: LanguageBackbone, inputs: Sequence[str], long_text: str, window: int, stride: int | None
    ) -> None:
        """One of the windows that TestHf tries."""
        super().test_texts_are_scored_as_plain_passes_score_them(short, inputs, long_text, window, stride)


def test_every_backbone_is_tested() -> None:
    elsewhere = {"hf_encoder", "st", "timm", "torchvision"}  # tests/backbones/test_encoders.py
    here = {"hf", "open_clip", "efficientnet_lite0", "smollm2_135m", "vectors"}
    assert set(registry.find("backbones")) == here | elsewhere
