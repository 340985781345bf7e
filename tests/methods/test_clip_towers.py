"""CLIP-LoRA and ProLIP on a tiny CLIP, by the published loops written independently; towers adapted or left alone."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from open_clip import image_transform, tokenize
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy, normalize

from bench.backbones.open_clip import OpenClip
from bench.contracts import Kind, UsageError
from bench.spec.expand import expand, refusal
from bench.spec.suite import Block
from bench.testing.doubles import NetworkBackbone
from bench.testing.driver import adapt
from bench.testing.items import columns
from bench.testing.problems import Problem
from methods._continual_clip_lora import ContinualClipLora
from methods._continual_prolip import ContinualProlip
from methods.clip_lora import ClipLora, ClipLoraConfig
from methods.prolip import Prolip
from tests.helpers.pictures import NAMES, PROMPT, image, pictures
from tests.helpers.tiny_clip import save, tiny

BLOCKS = [f"{tower}transformer.resblocks.{block}.attn" for tower in ("visual.", "") for block in range(2)]
"""Attention of the tiny CLIP: two blocks of the image tower, two of the text tower."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("weights") / "checkpoint.pt", "tiny-vit")


@pytest.fixture(scope="module")
def backbone(path: Path) -> OpenClip:
    return OpenClip(f"tiny-vit/{path}").eval().requires_grad_(False)


def updates_of(method: ClipLora) -> dict[str, Tensor]:
    """Copies of A and B by name, in the names of the whole model."""
    found = {}
    for name, parameter in method.named_parameters():
        if parameter.requires_grad:
            found[name.removeprefix("adapted.").removeprefix("text.").replace(".default.weight", "")] = parameter
    return {name: parameter.detach().clone() for name, parameter in found.items()}


def frozen(backbone: OpenClip) -> list[tuple[str, Tensor]]:
    """Weights of both towers of a backbone."""
    return [*backbone.state_dict().items(), *backbone.text_tower.state_dict().items()]


def published(given: Problem, start: dict[str, Tensor], steps: int, lr: float, rank: int) -> Tensor:
    """Scores of the queries after CLIP-LoRA without dropout, from the same A and B, on ``W + B A / sqrt(r)``."""
    model: Any = tiny("tiny-vit")
    state = {name: parameter.detach() for name, parameter in model.named_parameters()}
    trained = {name: parameter.clone().requires_grad_(True) for name, parameter in start.items()}
    transform, texts = image_transform(32, is_train=False), tokenize([PROMPT.format(label=name) for name in NAMES])

    def scores(positions: Any) -> Tensor:
        changed = dict(state)
        for place in BLOCKS:
            if f"{place}.query.lora_A" in trained:
                names = [f"{place}.{part}.lora" for part in ("query", "key", "value")]
                update = torch.cat([trained[f"{name}_B"] @ trained[f"{name}_A"] for name in names])
                weight = f"{place}.in_proj_weight"
                changed[weight] = state[weight] + update / math.sqrt(rank)
        images = torch.stack([transform(image(position)) for position in positions])
        features, words, scale = functional_call(model, changed, (images, texts))
        logits: Tensor = scale * features @ words.T
        return logits

    optimizer = torch.optim.AdamW(trained.values(), weight_decay=1e-2, betas=(0.9, 0.999), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=1e-6)
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(scores(given.support.inputs.positions[0]), given.support.labels[0]).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return scores(given.query.inputs.positions[0])


@pytest.mark.slow
@pytest.mark.parametrize("towers", ["both", "image", "text"])
def test_it_is_the_published_loop(towers: str, backbone: OpenClip) -> None:
    given = pictures(backbone)
    config = ClipLoraConfig(towers=towers, steps=4, lr=5e-3, dropout=0.0, rank=2)
    method = ClipLora(config, backbone, given.shape)
    start = updates_of(method)
    assert len(start) == 2 * 3 * (4 if towers == "both" else 2)
    with torch.no_grad():
        raw = [backbone.prepare(each) for each in given.query.inputs.episode(0)]
        prior = backbone.encode(backbone.collate(raw)).prior
        zero_shot = backbone.class_logits(prior[None], given.query.classes)
        torch.testing.assert_close(method.predict(given.query), zero_shot, rtol=1e-4, atol=1e-3)
    weights = {name: tensor.clone() for name, tensor in frozen(backbone)}
    adapt(method, given.support)
    with torch.no_grad():
        found = method.predict(given.query)[0]
    assert (found - zero_shot[0]).abs().max() > 1e-2
    torch.testing.assert_close(found, published(given, start, 4, 5e-3, 2), rtol=1e-3, atol=1e-2)
    assert all(torch.equal(weights[name], tensor) for name, tensor in frozen(backbone))
    assert not any("lora" in name for name, _ in backbone.text_tower.named_modules())


def test_defaults_are_the_authors(backbone: OpenClip) -> None:
    given = pictures(backbone, n_shot=3)
    method = ClipLora(ClipLoraConfig(), backbone, given.shape)
    assert (method.steps, method.batch_size) == (1500, 32)
    assert (method.config.rank, method.config.alpha, method.config.dropout, method.config.lr) == (2, 1, 0.25, 2e-4)
    optimizer, schedule = method.optimizer()
    assert optimizer.param_groups[0]["weight_decay"] == 1e-2
    assert schedule is not None
    # Three projections of width 64 in two blocks of one tower, of width 32 in those of the other, each with A and B.
    assert method.trainable_params() == 2 * 3 * 2 * (2 * 64 + 2 * 32)
    assert method.state_bytes() == 4 * method.trainable_params()


def test_the_text_tower_of_the_backbone_stays_where_a_trainer_casts_the_method(backbone: OpenClip) -> None:
    method = ClipLora(ClipLoraConfig(), backbone, pictures(backbone).shape)
    frozen_at = next(backbone.text_tower.parameters()).data_ptr()
    assert method.text is not None
    shared = dict(method.text.named_parameters())["token_embedding.weight"]
    assert shared.data_ptr() == dict(backbone.text_tower.named_parameters())["token_embedding.weight"].data_ptr()
    method.text.to(torch.bfloat16)
    assert shared.dtype == torch.bfloat16
    assert {weights.dtype for weights in backbone.text_tower.parameters()} == {torch.float32}
    assert next(backbone.text_tower.parameters()).data_ptr() == frozen_at


def test_inputs_are_dropped_in_training_alone_and_by_the_seed(backbone: OpenClip) -> None:
    given, scores = pictures(backbone, n_shot=1), []
    for _ in range(2):
        method = ClipLora(ClipLoraConfig(steps=2, lr=5e-3), backbone, given.shape)
        adapt(method, given.support)
        with torch.no_grad():
            scores += [method.predict(given.query), method.predict(given.query)]
    assert all(torch.equal(each, scores[0]) for each in scores[1:])


@pytest.mark.slow
def test_backbones_without_two_towers_or_without_attention_are_one_line(tmp_path: Path) -> None:
    given = pictures(NetworkBackbone())
    with pytest.raises(UsageError, match="clip_lora needs a backbone with an image and a text tower, such as open"):
        ClipLora(ClipLoraConfig(), NetworkBackbone(), given.shape)
    name = "tiny-resnet-quickgelu"
    resnet = OpenClip(f"{name}/{save(tmp_path / 'checkpoint.pt', name)}").eval().requires_grad_(False)
    with pytest.raises(UsageError, match="adapts attention, and the image tower has none of the usual form; choose"):
        ClipLora(ClipLoraConfig(), resnet, pictures(resnet).shape)
    assert len(updates_of(ClipLora(ClipLoraConfig(towers="text"), resnet, pictures(resnet).shape))) == 2 * 3 * 2
    (spec,) = expand(Block.model_validate({"task": "digits", "methods": ["clip_lora"], "shots": [1]}))
    assert refusal(spec) == (
        "clip_lora needs a backbone with an image and a text tower, such as open_clip; efficientnet_lite0 is none"
    )
    assert ClipLora.kinds == {Kind.IMAGE_CLASSIFICATION}


@pytest.fixture(scope="module", params=["tiny-vit", "tiny-resnet-quickgelu"])
def towers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OpenClip:
    path = save(tmp_path_factory.mktemp("weights") / "checkpoint.pt", request.param)
    return OpenClip(f"{request.param}/{path}").eval().requires_grad_(False)


@pytest.mark.slow
@torch.no_grad()
def test_features_before_the_projection_make_those_after_it(towers: OpenClip) -> None:
    batch = towers.collate([towers.prepare(image(position)) for position in range(3)])
    before = towers.encode(batch).prior
    weight, bias = towers.projection()
    projected = towers.unprojected(batch) @ weight + (0 if bias is None else bias)
    torch.testing.assert_close(normalize(projected, dim=-1), before, rtol=1e-4, atol=1e-5)
    assert torch.equal(towers.encode(batch).prior, before)


def test_prolip_is_the_published_loss_from_the_pretrained_projection_on(towers: OpenClip) -> None:
    given = pictures(towers)
    zero_shot = Prolip(Prolip.Config(), towers, given.shape)
    method = Prolip(Prolip.Config(lr=1e-3, steps=5), towers, given.shape)
    adapt(method, given.support)
    raw = [each for items in (given.support, given.query) for each in items.inputs.episode(0)]
    with torch.no_grad():
        features = towers.unprojected(towers.collate([towers.prepare(each) for each in raw]))
        weight, bias = towers.projection()
    trained = weight.clone().requires_grad_(True)
    values, count = given.support.classes.class_embeddings[0], given.support.mask.shape[1]

    def scores(items: Tensor) -> Tensor:
        projected = items @ trained + (0 if bias is None else bias)
        return 50.0 * normalize(projected, dim=-1) @ values.T

    optimizer = torch.optim.Adam([trained], lr=1e-3, eps=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
    for _ in range(5):
        optimizer.zero_grad()
        loss = cross_entropy(scores(features[:count]), given.support.labels[0]) + (trained - weight).pow(2).sum() / 2
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        torch.testing.assert_close(method.predict(given.query)[0], scores(features[count:]), rtol=1e-3, atol=1e-2)
        before, after = (each.predict(given.query) for each in (zero_shot, method))
        assert (after - before).abs().max() > 1e-2
    assert method.notes["penalty"] == 0.5
    assert method.trainable_params() == weight.numel()


@pytest.mark.slow
@pytest.mark.parametrize("cls", [ContinualClipLora, ContinualProlip])
def test_training_goes_on_with_further_images_from_the_same_parameters(cls: Any, backbone: OpenClip) -> None:
    given, config = pictures(backbone), {"steps": 2, "lr": 5e-3}
    method, fresh = (each(each.Config(**config), backbone, given.shape) for each in (cls, cls.__bases__[-1]))
    adapt(method, columns(given.support, slice(0, 3)))
    with torch.no_grad():
        learnt = method.predict(given.query)
        for own, kept in zip(fresh.parameters(), method.parameters(), strict=True):
            if own.requires_grad:
                own.copy_(kept)
    method.continue_adapt()
    fresh._step = getattr(method, "_step", 0)  # dropout is drawn by it
    for each in (method, fresh):
        adapt(each, columns(given.support, slice(3, 6)))
    with torch.no_grad():
        torch.testing.assert_close(method.predict(given.query), fresh.predict(given.query))
        assert not torch.allclose(method.predict(given.query), learnt, rtol=1e-3)
