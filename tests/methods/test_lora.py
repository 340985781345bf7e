"""LoRA on tiny networks of each family: no change at first, what is trained, and a backbone left as it was."""

from dataclasses import replace

import open_clip
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.backbones.open_clip import OpenClip
from bench.contracts import Backbone, UsageError
from bench.testing.doubles import CosineBackbone, NetworkBackbone
from bench.testing.driver import adapt
from bench.testing.items import columns
from bench.testing.problems import Problem, problem
from methods._adapted import PROJECTIONS, ClippedAdamW, SplitAttention, split_attention, targets
from methods.lora import Lora, LoraConfig
from tests.helpers.pictures import pictures
from tests.helpers.tiny_clip import save


@pytest.fixture(scope="module", params=["tiny-vit", "tiny-resnet-quickgelu", "efficientnet_lite0"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    if request.param == "efficientnet_lite0":
        embedded: Backbone = request.getfixturevalue("efficientnet_lite0")
        return embedded
    path = save(tmp_path_factory.mktemp("weights") / "checkpoint.pt", request.param)
    return OpenClip(f"{request.param}/{path}").eval().requires_grad_(False)


def zero_shot(backbone: Backbone, given: Problem) -> Tensor:
    raw = given.query.inputs.episode(0)
    with torch.no_grad():
        features = backbone.encode(backbone.collate([backbone.prepare(each) for each in raw]))
    return backbone.class_logits(features.prior[None], given.query.classes)


@pytest.mark.slow
def test_starts_at_zero_shot_learns_and_leaves_the_backbone_alone(backbone: Backbone) -> None:
    given = pictures(backbone, n_shot=1, n_query=1)
    weights = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    before = zero_shot(backbone, given)
    method = Lora(LoraConfig(steps=4, lr=5e-3), backbone, given.shape)
    with torch.no_grad():
        # Attention is computed by another kernel; the rest is the same to the bit.
        tolerance = {"rtol": 1e-4, "atol": 1e-3} if "VisionTransformer" in repr(backbone) else {"rtol": 0, "atol": 0}
        torch.testing.assert_close(method.predict(given.query), before, **tolerance)
        start = method.loss(given.support).item()
    adapt(method, given.support)
    with torch.no_grad():
        assert method.loss(given.support).item() < start
        assert (method.predict(given.query) - before).abs().max() > 1e-2
    assert torch.equal(zero_shot(backbone, given), before)
    after = backbone.state_dict()
    assert list(after) == list(weights)
    assert all(torch.equal(after[name], tensor) for name, tensor in weights.items())
    assert not any("lora" in name for name, _ in backbone.named_modules())


@pytest.mark.slow
def test_only_adapters_are_trained_and_each_has_a_gradient(backbone: Backbone) -> None:
    given = pictures(backbone, n_shot=1, n_query=1)
    method = Lora(LoraConfig(rank=2), backbone, given.shape)
    trained = {name: parameter for name, parameter in method.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name for name in trained)
    assert method.trainable_params() == sum(parameter.numel() for parameter in trained.values())
    assert method.state_bytes() == 4 * method.trainable_params()
    method.loss(given.support).backward()
    # At first B is 0, so that A has a gradient of 0.
    assert all(parameter.grad is not None for parameter in trained.values())
    assert all(parameter.grad.any() for name, parameter in trained.items() if "lora_B" in name)


@pytest.mark.slow
def test_a_run_is_reproducible_and_drops_inputs_in_training_alone(backbone: Backbone) -> None:
    given = pictures(backbone, n_shot=1, n_query=1)
    scores = []
    for _ in range(2):
        method = Lora(LoraConfig(steps=2, lr=5e-3, dropout=0.3), backbone, given.shape)
        adapt(method, given.support)
        with torch.no_grad():
            scores += [method.predict(given.query), method.predict(given.query)]
    assert all(torch.equal(each, scores[0]) for each in scores[1:])


def test_split_attention_is_multi_head_attention() -> None:
    torch.manual_seed(0)
    for batch_first, bias in ((True, True), (False, False)):
        whole = nn.MultiheadAttention(16, 4, batch_first=batch_first, bias=bias).eval()
        query, key = torch.randn(5, 5, 16), torch.randn(5, 5, 16)
        mask = torch.full((5, 5), -torch.inf).triu(1)
        expected = whole(query, key, key, need_weights=False, attn_mask=mask)[0]
        torch.testing.assert_close(SplitAttention(whole)(query, key, key, attn_mask=mask)[0], expected)


def test_what_is_adapted_depends_on_the_network() -> None:
    vit, resnet = (open_clip.create_model(name).visual for name in ("tiny-vit", "tiny-resnet-quickgelu"))
    assert targets(NetworkBackbone()) == ["net.0", "net.2"]
    split_attention(vit)
    assert [name.removeprefix("transformer.resblocks.0.attn.") for name in targets(vit)[:4]] == list(PROJECTIONS)
    assert len(targets(vit)) == 2 * 4
    modules = dict(resnet.named_modules())
    assert all(isinstance(modules[name], nn.Conv2d) for name in targets(resnet))
    with pytest.raises(UsageError, match="CosineBackbone"):
        targets(CosineBackbone())


def test_gradients_are_clipped_for_any_optimizer_step() -> None:
    steps = []
    for with_closure in (False, True):
        parameter = nn.Parameter(torch.zeros(2))
        optimizer = ClippedAdamW([parameter], lr=0.1, eps=1.0, weight_decay=0.0)

        def closure(parameter: nn.Parameter = parameter) -> Tensor:
            loss = (torch.tensor([30.0, 40.0]) * parameter).sum()
            loss.backward()
            return loss

        if with_closure:
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
        torch.testing.assert_close(parameter.grad, torch.tensor([0.6, 0.8]))
        steps.append(parameter.detach())
    assert torch.equal(*steps)


def test_padding_and_large_query_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    given, backbone = problem(n_episodes=1), NetworkBackbone()
    method = Lora(LoraConfig(steps=1), backbone, given.shape)
    with torch.no_grad():
        expected = method.predict(given.query)
        monkeypatch.setattr("methods._image_scores.INPUTS_AT_ONCE", 3)
        torch.testing.assert_close(method.predict(given.query), expected)
        positions = given.query.inputs.positions.copy()
        positions[:, 9:] = -1
        mask = torch.arange(20)[None] < 9
        short = replace(given.query, mask=mask, inputs=replace(given.query.inputs, positions=positions))
        scores = method.predict(short)
        none = replace(short, mask=torch.zeros_like(mask), inputs=replace(short.inputs, positions=positions * 0 - 1))
        assert not method.predict(none).any()
    torch.testing.assert_close(scores[:, :9], expected[:, :9])
    assert not scores[:, 9:].any()


def test_support_loss_is_cross_entropy_of_the_real_items() -> None:
    given, backbone = problem(n_episodes=1, sizes=[7]), NetworkBackbone()
    method = Lora(LoraConfig(), backbone, given.shape)
    real = columns(given.support, slice(0, 7))
    features = backbone.encode(backbone.collate([backbone.prepare(raw) for raw in real.inputs.episode(0)]))
    expected = cross_entropy(backbone.class_logits(features.prior[None], real.classes)[0], real.labels[0])
    torch.testing.assert_close(method.loss(given.support), expected)
