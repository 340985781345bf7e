"""Encoders of timm, torchvision, transformers and sentence-transformers: tiny, random, saved locally; no network."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.data import create_transform, resolve_model_data_config
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.nn.functional import normalize
from torchvision import models as classifiers
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizerFast,
    Dinov2Config,
    Dinov2Model,
    GPT2Config,
    ResNetConfig,
    ResNetModel,
    RobertaConfig,
    RobertaModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from bench import registry
from bench.backbones._image_encoder import ImageEncoder
from bench.contracts import Backbone, DataError, Kind, UsageError
from bench.testing.backbone_contract import BackboneContract, encoded
from tests.helpers.tiny_clip import save

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "film", "a", "very", "dull"]
TEXTS = ("a good film", "bad", "a very very dull film")
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
IMAGES = [
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 52, 3), dtype=np.uint8)) for seed in range(3)
]
Made = tuple[str, Callable[[], torch.Tensor]]
"""A backbone's name, and the library's own features of TEXTS or IMAGES."""


def noisy(model: Any) -> Any:
    """The model with noise on all weights: norms of ones and biases of zero would hide what is wrong."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def tokenizer(folder: Path, longest: int = 16) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    wrapped = BertTokenizerFast(tokenizer_object=made, model_max_length=longest)
    wrapped.save_pretrained(folder)
    return wrapped


def of_timm(folder: Path, model: str, **options: Any) -> Made:
    net = noisy(timm.create_model(model, num_classes=5, **options))
    torch.save(net.state_dict(), folder / "weights.pt")
    net.reset_classifier(0)
    transform = create_transform(**resolve_model_data_config(net), is_training=False)
    return f"timm:{model}/{folder}/weights.pt", lambda: net(torch.stack([transform(image) for image in IMAGES]))


def of_torchvision(folder: Path, model: str, last: str) -> Made:
    net = noisy(classifiers.get_model(model, weights=None, num_classes=5))
    save_file(net.state_dict(), folder / "weights.safetensors")
    net.set_submodule(last, torch.nn.Identity())
    transform = classifiers.get_model_weights(model).DEFAULT.transforms()
    return (
        f"torchvision:{model}/{folder}/weights.safetensors",
        lambda: net(torch.stack([transform(image) for image in IMAGES])),
    )


def of_texts(folder: Path, family: str, pooling: str = "") -> Made:
    size = {**TINY, "vocab_size": len(WORDS), "max_position_embeddings": 18, "pad_token_id": 0}
    model = BertModel(BertConfig(**size)) if family == "bert" else RobertaModel(RobertaConfig(**size))
    noisy(model).save_pretrained(folder)
    read = tokenizer(folder)

    def expected() -> torch.Tensor:
        rows = []
        for text in TEXTS:
            found = model(**read(text, return_tensors="pt"))
            choices = {"cls": found.last_hidden_state[0, 0], "pooler": found.pooler_output[0]}
            rows.append(choices.get(pooling, found.last_hidden_state[0].mean(dim=0)))
        return torch.stack(rows)

    return f"hf_encoder:{folder}" + (f",pooling={pooling}" if pooling else ""), expected


def of_images(folder: Path, model: Any, pooled: Callable[[Any], torch.Tensor], pooling: str = "") -> Made:
    noisy(model).save_pretrained(folder)
    processor = ViTImageProcessor(size={"height": 32, "width": 32})
    processor.save_pretrained(folder)
    name = f"hf_encoder:{folder}" + (f",pooling={pooling}" if pooling else "")
    return name, lambda: pooled(model(**processor(images=IMAGES, return_tensors="pt")))


def of_sentences(folder: Path) -> Made:
    of_texts(folder / "bert", "bert")
    # Seconds to import, which every process that collects tests would take.
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    first = Transformer(str(folder / "bert"))
    model = SentenceTransformer(modules=[first, Pooling(32, pooling_mode="mean")], device="cpu")
    model.save(str(folder / "st"))
    return f"st:{folder / 'st'}", lambda: torch.as_tensor(model.encode(list(TEXTS)))


def class_token(output: Any) -> torch.Tensor:
    return output.last_hidden_state[:, 0]


VIT = {**TINY, "image_size": 32, "patch_size": 8}
ENCODERS: dict[str, Callable[[Path], Made]] = {
    "timm-resnet": partial(of_timm, model="resnet10t"),
    "timm-vit": partial(of_timm, model="test_vit"),
    "torchvision": partial(of_torchvision, model="shufflenet_v2_x0_5", last="fc"),
    "bert": partial(of_texts, family="bert"),
    "bert-pooler": partial(of_texts, family="bert", pooling="pooler"),
    "roberta-cls": partial(of_texts, family="roberta", pooling="cls"),
    "dinov2": lambda folder: of_images(folder, Dinov2Model(Dinov2Config(**VIT)), class_token),
    "vit-mean": lambda folder: of_images(
        folder, ViTModel(ViTConfig(**VIT)), lambda output: output.last_hidden_state[:, 1:].mean(dim=1), "mean"
    ),
    "resnet": lambda folder: of_images(
        folder, ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])),
        lambda output: output.pooler_output.flatten(1),
    ),
    "st": of_sentences,
}  # fmt: skip


@pytest.fixture(scope="module", params=ENCODERS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return ENCODERS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.mark.slow
@torch.no_grad()
def test_features_are_the_librarys_own(made: Made) -> None:
    name, expected = made
    backbone = registry.make_backbone(name)
    inputs = IMAGES if backbone.kinds == {Kind.IMAGE_CLASSIFICATION} else TEXTS
    found = encoded(backbone, inputs)
    torch.testing.assert_close(found.keys, normalize(expected().float(), dim=-1), rtol=1e-4, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert backbone.has_prior == name.startswith("st:")
    assert registry.make_backbone(name).fingerprint == backbone.fingerprint


class TestContract(BackboneContract):
    """The contract suite for one encoder of each library."""

    @pytest.fixture(scope="class", params=["timm-vit", "torchvision", "bert", "dinov2", "st"])
    def backbone(self, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
        return registry.make_backbone(ENCODERS[request.param](tmp_path_factory.mktemp("contract"))[0])

    @pytest.fixture
    def inputs(self, reads_images: bool) -> list[Any]:
        """Texts of words that the tiny vocabulary has."""
        return list(IMAGES if reads_images else TEXTS)

    @pytest.fixture
    def names(self) -> tuple[str, ...]:
        """Likewise."""
        return "good", "dull"


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["timm-vit", "torchvision", "bert", "st"])
def test_fingerprints_follow_the_weights_and_not_the_place(tmp_path: Path, encoder: str) -> None:
    (tmp_path / "first").mkdir()
    name, _ = ENCODERS[encoder](tmp_path / "first")
    first = registry.make_backbone(name).fingerprint
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    name = name.replace(str(tmp_path / "first"), str(tmp_path / "copy"))
    assert registry.make_backbone(name).fingerprint == first
    weights = next(path for path in sorted((tmp_path / "copy").rglob("*")) if path.suffix in {".pt", ".safetensors"})
    if encoder == "st":
        weights = next((tmp_path / "copy" / "st").rglob("*.safetensors"))
    state = torch.load(weights) if weights.suffix == ".pt" else load_file(weights)
    key = next(key for key, value in state.items() if value.is_floating_point())
    state[key] = state[key] + 0.5
    (torch.save if weights.suffix == ".pt" else save_file)(state, weights)
    assert registry.make_backbone(name).fingerprint != first


def test_poolings_differ_and_long_texts_are_cut(tmp_path: Path) -> None:
    name, _ = of_texts(tmp_path, "roberta")
    mean, first = (registry.make_backbone(f"{name},pooling={pooling}") for pooling in ("mean", "cls"))
    assert mean.fingerprint != first.fingerprint
    long = encoded(mean, ["good " * 100, "good " * 200]).keys
    torch.testing.assert_close(long[0], long[1])


def test_a_text_is_scored_against_class_names_by_a_sentence_encoder(tmp_path: Path) -> None:
    backbone = registry.make_backbone(of_sentences(tmp_path)[0])
    embeddings = backbone.class_embeddings(["film", "dull"], ["a very {label}"])
    torch.testing.assert_close(embeddings, encoded(backbone, ["a very film", "a very dull"]).prior)


HERE = "a local file works too: "


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("timm:", UsageError, "timm needs a model: timm:MODEL"),
        ("timm:resnet1", UsageError, "no model 'resnet1'; did you mean resnet18"),
        ("timm:resnet10t.none", UsageError, "no weights 'none'; did you mean c3_in1k?"),
        ("timm:resnet10t", DataError, f"cannot be downloaded .*{HERE}timm:resnet10t//path"),
        ("timm:resnet10t/{0}/none.pt", DataError, "none.pt, which is not there"),
        ("timm:resnet10t/{0}/other.pt", DataError, "lacks weights of timm:resnet10t: conv1.0.weight"),
        ("timm:resnet10t/{0}/vocab.txt", DataError, "cannot be loaded as timm:resnet10t"),
        ("torchvision:resnet1x", UsageError, "no image classifier 'resnet1x'; did you mean resnet18"),
        ("torchvision:resnet18/V9", UsageError, "no weights 'V9'; it has IMAGENET1K_V1"),
        ("torchvision:resnet18", DataError, f"cannot be downloaded .*{HERE}torchvision:resnet18//path"),
        ("torchvision:resnet18/{0}/other.pt", DataError, "cannot be loaded as torchvision:resnet18"),
        ("torchvision:squeezenet1_0/{0}/other.pt", UsageError, "squeezenet1_0 has no pooled features"),
        ("hf_encoder:", UsageError, "hf_encoder needs a model"),
        ("hf_encoder:{0}/none", DataError, "needs a folder with config, weights and tokenizer, which is not there"),
        ("hf_encoder:{0}", DataError, "needs weights as .*safetensors"),
        ("hf_encoder:{0},pooling=max", UsageError, "pooling=mean|cls|pooler, got 'pooling=max'"),
        ("hf_encoder:{0}/gpt2", UsageError, "is a decoder; use hf:"),
        (
            "hf_encoder:nobody/none",
            DataError,
            "cannot be downloaded .* a folder works too: hf_encoder:path",
        ),
        ("st:{0}/gpt2", DataError, "needs the modules.json of sentence-transformers .* use hf_encoder:"),
        ("st:nobody/none", DataError, "nobody/none cannot be downloaded .* a folder works too: st:path"),
    ],
)
def test_what_is_no_encoder_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: type[Exception], reason: str
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("bench.toolkit.sources.HfApi.repo_info", unreachable)
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "hub"))
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pt")
    tokenizer(tmp_path)
    (tmp_path / "gpt2").mkdir()
    GPT2Config(architectures=["GPT2LMHeadModel"]).save_pretrained(tmp_path / "gpt2")
    save_file({"weight": torch.zeros(1)}, tmp_path / "gpt2" / "model.safetensors")
    with pytest.raises(kind, match=reason.replace("|", r"\|")) as refused:
        registry.make_backbone(name.replace("{0}", str(tmp_path)))
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_a_relative_path_names_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").mkdir()
    of_timm(tmp_path / "weights", "test_vit")
    save(tmp_path / "weights" / "clip.pt", "tiny-vit")
    monkeypatch.chdir(tmp_path)
    for name, file in (("timm:test_vit", "weights.pt"), ("open_clip:tiny-vit", "clip.pt")):
        relative, whole = (f"{name}/{folder}/{file}" for folder in ("weights", tmp_path / "weights"))
        assert registry.make_backbone(relative).fingerprint == registry.make_backbone(whole).fingerprint


def test_a_network_without_pooled_features_is_refused() -> None:
    to_tensor = create_transform((3, 16, 16), is_training=False)
    for net, got in (
        (torch.nn.Conv2d(3, 4, 3), r"an output of shape \[1, 4, 14, 14\]"),
        (Several(), "several outputs"),
    ):
        with pytest.raises(UsageError, match=f"timm:maps has no pooled features.* it has {got}; use another"):
            ImageEncoder("timm:maps", net, to_tensor, "")


class Several(torch.nn.Module):
    """A list of feature maps."""

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [images, images]


def test_an_encoder_without_a_pooler_says_so(tmp_path: Path) -> None:
    name, _ = of_texts(tmp_path, "bert", "pooler")
    state = {key: value for key, value in load_file(tmp_path / "model.safetensors").items() if "pooler" not in key}
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match="has no weights of a pooler; use pooling=mean or cls"):
        registry.make_backbone(name)
    del state["encoder.layer.1.output.dense.weight"]
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"lacks weights of its encoder: encoder\.layer\.1\.output\.dense\.weight$"):
        registry.make_backbone(f"hf_encoder:{tmp_path}")


@pytest.mark.parametrize(("encoder", "raw"), [("bert", IMAGES[0]), ("bert", " "), ("dinov2", "a text")])
def test_inputs_of_the_other_kind_are_errors_of_the_data(tmp_path: Path, encoder: str, raw: Any) -> None:
    backbone = registry.make_backbone(ENCODERS[encoder](tmp_path)[0])
    with pytest.raises(DataError):
        backbone.prepare(raw)
