"""A tiny CLIP of each family with random weights, saved and then loaded as a user's checkpoint; no network."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch.nn.functional import normalize

from bench import registry
from bench.backbones.open_clip import PLUGIN, OpenClip
from bench.contracts import Classes, DataError, UsageError
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.results.store import Store
from bench.runs.progress import RichReporter
from bench.runs.runner import Runner, same_process
from bench.spec.expand import expand
from bench.spec.suite import Block
from bench.toolkit.trust import trusting
from tests.helpers.tiny_clip import VISION, save, save_scripted, tiny

NAMES, PROMPTS = ("cat", "dog", "long-tailed macaque"), ("A photo of a {label}.", "art of the {label}.")


@pytest.fixture(scope="module", params=VISION)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[OpenClip, Any]:
    """The backbone as a user loads it, and the model that the checkpoint was saved from."""
    path = save(tmp_path_factory.mktemp("weights") / "checkpoint.pt", request.param)
    return PLUGIN(f"{request.param}/{path}").eval().requires_grad_(False), tiny(request.param)


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    generator = np.random.default_rng(0)
    return [Image.fromarray(generator.integers(0, 255, (40, 50, 3), dtype=np.uint8)) for _ in range(3)]


@pytest.mark.slow
@torch.no_grad()
def test_zero_shot_scores_are_the_models_own(pair: tuple[OpenClip, Any], images: list[Image.Image]) -> None:
    backbone, model = pair
    features = backbone.encode(backbone.collate([backbone.prepare(image) for image in images]))
    values = backbone.class_embeddings(NAMES, PROMPTS[:1])
    scores = backbone.class_logits(features.prior[None], Classes(values[None], (NAMES,)))[0]
    transform = open_clip.image_transform(model.visual.image_size, is_train=False)
    texts = open_clip.tokenize([f"A photo of a {name}." for name in NAMES])
    expected, _ = model.get_logits(torch.stack([transform(image) for image in images]), texts)
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(features.keys, features.prior)
    torch.testing.assert_close(features.keys.norm(dim=-1), torch.ones(3))


@pytest.mark.slow
def test_a_class_name_that_the_text_tower_would_cut_is_refused(pair: tuple[OpenClip, Any]) -> None:
    with pytest.raises(UsageError, match="must leave room for a word in the 77 tokens of the text tower, got 3"):
        pair[0].class_embeddings(["cat", "a very long name " * 20], PROMPTS)


@torch.no_grad()
def test_several_prompts_are_averaged_as_open_clip_averages_them(pair: tuple[OpenClip, Any]) -> None:
    backbone, model = pair
    templates = [lambda name, prompt=prompt: prompt.format(label=name) for prompt in PROMPTS]
    expected = open_clip.build_zero_shot_classifier(model, open_clip.tokenize, NAMES, templates).T
    torch.testing.assert_close(backbone.class_embeddings(NAMES, PROMPTS), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_features_do_not_depend_on_the_batch(pair: tuple[OpenClip, Any], images: list[Image.Image]) -> None:
    backbone, _ = pair
    prepared = [backbone.prepare(image) for image in images]
    together, alone = (backbone.encode(backbone.collate(part)).keys for part in (prepared, prepared[1:2]))
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


def test_features_are_float32_under_autocast(pair: tuple[OpenClip, Any], images: list[Image.Image]) -> None:
    backbone, _ = pair
    batch = backbone.collate([backbone.prepare(image) for image in images])
    exact = backbone.encode(batch).keys
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = backbone.encode(batch).keys
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert ((rounded * exact).sum(dim=-1) > 0.99).all()


def test_the_image_tower_can_be_trained_through_encode(pair: tuple[OpenClip, Any], images: list[Image.Image]) -> None:
    backbone, _ = pair
    weight = next(backbone.visual.parameters()).requires_grad_(True)
    loss = backbone.encode(backbone.collate([backbone.prepare(images[0])])).keys[0, 0]
    loss.backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0
    weight.requires_grad_(False).grad = None
    assert {name.split(".")[0] for name, _ in backbone.named_parameters()} == {"visual"}


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (300, 2)])
def test_any_image_is_prepared(pair: tuple[OpenClip, Any], mode: str, size: tuple[int, int]) -> None:
    backbone, model = pair
    prepared = backbone.prepare(Image.new(mode, size))
    assert prepared.shape == (3, *open_clip.transform.to_2tuple(model.visual.image_size))
    assert prepared.isfinite().all()


def test_what_is_no_image_is_refused(pair: tuple[OpenClip, Any]) -> None:
    with pytest.raises(DataError, match="got str"):
        pair[0].prepare("no image")


@pytest.mark.slow
def test_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    path = save(tmp_path / "checkpoint.pt", "tiny-vit")
    first = PLUGIN(f"tiny-vit/{path}")
    same = PLUGIN(f"tiny-vit/{shutil.copy(path, tmp_path / 'copy.pt')}")
    # Over the first one's file, which has been read by then.
    other = PLUGIN(f"tiny-vit/{save(path, 'tiny-vit', seed=1)}")
    assert first.fingerprint == same.fingerprint
    assert first.fingerprint != other.fingerprint


@pytest.mark.slow
def test_a_scripted_archive_loads_like_the_weights_in_it(tmp_path: Path, images: list[Image.Image]) -> None:
    name = "tiny-resnet-quickgelu"
    path, model = save_scripted(tmp_path / "openai.pt", name), tiny(name)
    with pytest.raises(UsageError, match=r"openai\.pt is a TorchScript archive: loading it runs code .* or --trust"):
        PLUGIN(f"{name}/{path}")
    with trusting(True):
        backbone = PLUGIN(f"{name}/{path}").eval()
    batch = backbone.collate([backbone.prepare(image) for image in images])
    torch.testing.assert_close(backbone.encode(batch).keys, normalize(model.visual(batch), dim=-1))


@pytest.mark.slow
def test_a_tag_says_how_a_local_file_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = {"quick_gelu": True, "mean": (0.5,) * 3, "std": (0.25,) * 3, "hf_hub": "someone/tiny/"}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-vit", {"mine": trained})
    path = save(tmp_path / "checkpoint.pt", "tiny-vit")
    plain, tagged = PLUGIN(f"tiny-vit/{path}"), PLUGIN(f"tiny-vit/mine/{path}")
    white = Image.new("L", (32, 32), 255)
    assert tagged.prepare(white).eq(2).all()
    assert not plain.prepare(white).eq(2).any()
    batch = torch.randn(1, 3, 32, 32)
    assert not torch.allclose(plain.encode(batch).keys, tagged.encode(batch).keys, atol=1e-5)
    assert plain.fingerprint != tagged.fingerprint


@pytest.mark.slow
@pytest.mark.parametrize("files", [["open_clip_model.safetensors"], ["open_clip_pytorch_model.bin"]])
def test_a_tags_weights_come_from_the_hub(files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-vit", {"mine": {"hf_hub": "someone/tiny/"}})
    model = tiny("tiny-vit")
    for name in files:
        if name.endswith("safetensors"):
            from safetensors.torch import save_model

            save_model(model, str(tmp_path / name))
        else:
            torch.save(model.state_dict(), tmp_path / name)
    requested = []

    def snapshot(repository: str, **options: Any) -> str:
        requested.append((repository, *options["allow_patterns"]))
        return str(tmp_path)

    monkeypatch.setattr("bench.toolkit.sources.HfApi.repo_info", lambda *_, **__: None)
    monkeypatch.setattr("bench.toolkit.sources.snapshot_download", snapshot)
    backbone = PLUGIN("tiny-vit/mine").eval()
    batch = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(backbone.encode(batch).keys, normalize(model.visual(batch), dim=-1))
    assert requested[-1] == ("someone/tiny", files[0])


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no network\nin this test")

    monkeypatch.setattr("bench.toolkit.sources.HfApi.repo_info", unreachable)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))


def test_a_tokenizer_out_of_reach_is_one_line(no_network: None, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"weights")
    with pytest.raises(DataError, match="needs a tokenizer and text settings from the hub: roberta-base") as caught:
        PLUGIN(f"roberta-ViT-B-32/{tmp_path}/checkpoint.pt")
    assert "\n" not in str(caught.value)


def test_weights_out_of_reach_name_the_local_form(no_network: None) -> None:
    with pytest.raises(DataError, match="open_clip:RN50-quickgelu/openai//path/to/checkpoint") as caught:
        PLUGIN("RN50-quickgelu/openai")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("", "needs a model and its weights: open_clip:MODEL/TAG"),
        ("RN50-quickgel/openai", "no model 'RN50-quickgel'; did you mean RN50-quickgelu"),
        ("RN50-quickgelu/opnai", "no tag 'opnai'; did you mean openai"),
        ("RN50-quickgelu", "no tag ''; did you mean"),
        ("tiny-vit/openai", "no tag 'openai'; it has none, but takes a file"),
    ],
)
def test_wrong_names_get_the_nearest(argument: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PLUGIN(argument)


@pytest.mark.parametrize("argument", ["tiny-vit//no/such.pt", "tiny-vit/such.pt", "RN50/openai//no/such"])
def test_a_missing_file_is_named(argument: str) -> None:
    with pytest.raises(DataError, match=r"needs a checkpoint file at .*such.*, which is not there"):
        PLUGIN(argument)


@pytest.mark.slow
@pytest.mark.parametrize("content", ["other", "cut", "text", "empty", "list"])
def test_a_file_that_is_no_checkpoint_of_the_model_is_one_line(content: str, tmp_path: Path) -> None:
    path = save(tmp_path / "checkpoint.pt", "tiny-resnet-quickgelu")
    if content == "list":
        torch.save([1, 2], path)
    elif content != "other":
        path.write_bytes({"cut": path.read_bytes()[:9000], "text": b"no weights", "empty": b""}[content])
    with pytest.raises(DataError, match=r"cannot be loaded as open_clip:tiny-vit: .") as caught:
        PLUGIN(f"tiny-vit/{path}")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
def test_a_run_goes_from_the_name_on_the_command_line_to_its_records(
    precision: str, outside: Path, cache: Path, tmp_path: Path
) -> None:
    quiet_lightning()
    reporter = RichReporter(Console(file=io.StringIO()))
    name = f"open_clip:tiny-vit/{save(tmp_path / 'checkpoint.pt', 'tiny-vit')}"
    # All queries where scores are compared; few, as some CPUs take seconds for them in bfloat16, elsewhere.
    size = {"shots": ["full"]} if precision == "32-true" else {"shots": [1], "episodes": 1, "queries": 1}
    block = {"task": "stripes", "backbone": name, "methods": ["zero_shot", "faast"], "precision": precision, **size}
    specs = expand(Block.model_validate(block))
    devices = DeviceOptions(accelerator="cpu", batch_size=64)
    report = Runner(Store(tmp_path / "store"), devices, reporter, isolate=same_process).run(specs)
    assert not report.failed, (report.problems, [record.reason for record in report.records])
    assert {record.spec.backbone for record in report.records} == {name}
    if precision == "32-true":
        data, model = registry.task_class("stripes")().load(None), tiny("tiny-vit")
        transform = open_clip.image_transform(32, is_train=False)
        pictures = torch.stack([transform(image.convert("RGB")) for image in data.query.inputs["input"]])
        texts = open_clip.tokenize([f"Stripes that run {name}." for name in data.classes])
        answers = model.get_logits(pictures, texts)[0].argmax(dim=-1).numpy()
        values = {record.spec.method: record.value for record in report.records}
        assert values["zero_shot"] == pytest.approx(100 * (answers == data.query.labels).mean())
