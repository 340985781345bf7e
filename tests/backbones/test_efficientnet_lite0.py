import copy

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import normalize

from bench.backbones._conse import ConSE, imagenet_names, sentence_encoder
from bench.backbones.efficientnet_lite0 import PLUGIN, EfficientNetLite0, fold_norms
from bench.contracts import Classes, DataError


@pytest.fixture(scope="module")
def backbone(efficientnet_lite0: EfficientNetLite0) -> EfficientNetLite0:
    return efficientnet_lite0


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    generator = np.random.default_rng(0)
    return [Image.fromarray(generator.integers(0, 255, (32, 32, 3), dtype=np.uint8)) for _ in range(3)]


@torch.no_grad()
def test_features_are_unit_vectors_and_do_not_depend_on_the_batch(
    backbone: EfficientNetLite0, images: list[Image.Image]
) -> None:
    prepared = [backbone.prepare(image) for image in images]
    together = backbone.encode(backbone.collate(prepared))
    alone = backbone.encode(backbone.collate(prepared[1:2]))
    assert together.keys.shape == (3, 1280)
    assert together.prior.shape == (3, 384)
    for features in (together.keys, together.prior):
        torch.testing.assert_close(features.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(together.keys[1:2], alone.keys, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.prior[1:2], alone.prior, rtol=1e-4, atol=1e-5)


def test_images_shared_out_to_cores_give_what_one_pass_gives(
    backbone: EfficientNetLite0, images: list[Image.Image]
) -> None:
    threads = torch.get_num_threads()
    batch = backbone.collate([backbone.prepare(image) for image in images])
    with torch.no_grad():
        shared = backbone.encode(batch)
    # Where gradients are wanted, all images go through the network together.
    whole = backbone.encode(batch)
    torch.testing.assert_close(shared.keys, whole.keys, rtol=1e-4, atol=1e-5)
    assert torch.get_num_threads() == threads


@pytest.mark.slow
@pytest.mark.parametrize("gradients", [False, True])
def test_images_are_read_in_half_precision(
    backbone: EfficientNetLite0, images: list[Image.Image], gradients: bool
) -> None:
    """As a method reads them that runs the network itself, without Lightning's casts."""
    batch = backbone.collate([backbone.prepare(image) for image in images])
    half = copy.deepcopy(backbone).to(torch.bfloat16)
    with torch.set_grad_enabled(gradients):
        found, expected = half.encode(batch), backbone.encode(batch)
    assert found.keys.dtype == found.prior.dtype == torch.float32
    assert float((found.keys * expected.keys).sum(dim=-1).min()) > 0.95


@torch.no_grad()
def test_the_weights_stand_where_they_were_trained_to(backbone: EfficientNetLite0) -> None:
    """A drawn orange disc on green is recognised only if all layers have their own weights."""
    rows, columns = np.mgrid[0:256, 0:256]
    disc = np.where((rows - 128) ** 2 + (columns - 128) ** 2 < 70**2, 1.0, 0.0)[..., None]
    picture = disc * np.array([255, 140, 0]) + (1 - disc) * np.array([30, 90, 30])
    batch = backbone.collate([backbone.prepare(Image.fromarray(picture.astype(np.uint8)))])
    likely = backbone.net(batch)[0].topk(5).indices
    names = [imagenet_names()[index] for index in likely]
    assert {"orange", "lemon", "Granny Smith", "ping-pong ball", "balloon"} & set(names), names


@torch.no_grad()
def test_folding_norms_leaves_the_function_as_it_was() -> None:
    torch.manual_seed(0)
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.uniform_(0.5, 2)
    images = torch.randn(2, 3, 64, 64)
    expected = net(images)
    fold_norms(net)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    torch.testing.assert_close(net(images), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize(("mode", "size"), [("L", (1, 1)), ("RGBA", (1, 300)), ("P", (4000, 1)), ("RGB", (8, 8))])
def test_small_and_thin_images_are_prepared(backbone: EfficientNetLite0, mode: str, size: tuple[int, int]) -> None:
    prepared = backbone.prepare(Image.new(mode, size))
    assert prepared.shape == (3, 224, 224)
    assert prepared.isfinite().all()


def test_pixels_are_scaled_as_in_training(backbone: EfficientNetLite0) -> None:
    assert backbone.prepare(Image.new("L", (9, 9), 127)).eq(0).all()
    assert backbone.prepare(Image.new("L", (9, 9), 255)).eq(1).all()
    with pytest.raises(DataError, match="got str"):
        backbone.prepare("no image")


def test_prior_of_a_sure_classifier_is_the_centred_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = imagenet_names()[:20]
    monkeypatch.setattr("bench.backbones._conse.imagenet_names", lambda: names)
    space = ConSE(top=3)
    logits = torch.full((1, 20), -1e4)
    logits[0, 1] = 0.0
    embedded = sentence_encoder().embed(names)
    expected = normalize(embedded[1:2] - embedded.mean(dim=0), dim=-1)
    torch.testing.assert_close(space.prior(logits), expected)
    torch.testing.assert_close(space.class_embeddings(["goldfish"], ["{label}"]), expected, rtol=1e-4, atol=1e-5)


def test_sentences_do_not_depend_on_their_batch() -> None:
    texts = ["a cat", "A photo of a very long name of something rare.", "truck"]
    together = sentence_encoder().embed(texts)
    alone = torch.cat([sentence_encoder().embed([text]) for text in texts])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    cat, _, truck = sentence_encoder().embed(["a kitten", "x", "a lorry"])
    assert cat @ together[0] > cat @ together[2]
    assert truck @ together[2] > truck @ together[0]


def test_readout_is_a_cosine(backbone: EfficientNetLite0) -> None:
    values = torch.randn(1, 4, 384)
    scores = backbone.class_logits(7 * values, Classes(values, (("a", "b", "c", "d"),)))
    torch.testing.assert_close(scores[0].diagonal(), torch.full((4,), 100.0))


@pytest.mark.slow
def test_fingerprint_is_stable_and_follows_the_text_space(backbone: EfficientNetLite0) -> None:
    assert backbone.fingerprint == PLUGIN().fingerprint
    assert ConSE(top=3).fingerprint != ConSE(top=10).fingerprint
