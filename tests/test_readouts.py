"""Readouts of middle memories: trained beside a frozen backbone, imported, and read by the method."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from bench import cli
from bench.backbones.hf import CausalLM
from bench.contracts import DataError, Kind, Setting, UsageError
from bench.contracts.inside import READOUT, SCORER, Readout, read_readouts, weighed
from bench.devices import DeviceOptions
from bench.readouts import corpus as corpora
from bench.readouts import files
from bench.readouts.corpus import Batches, Corpus, packed_windows, read_corpus
from bench.readouts.files import released_readouts, write_readouts
from bench.readouts.session import Session
from bench.readouts.training import ReadoutTraining, Recipe, batch_weights, warmup_steps
from methods.faast_lm import FaastLm, FaastLmConfig
from tests.tiny_models import SIZES, save_tokenizer

TEXTS = tuple(f"Topic {number}: the {word} of a list is {number * 7} and no more.\n" * 3 for number, word in enumerate(
    ["first", "length", "copy", "order", "index", "slice", "sum", "name", "type", "value", "end", "count"]
))  # fmt: skip
CPU = DeviceOptions(accelerator="cpu")
WIDTH = 32


def model_folder(folder: Path, family: str = "llama") -> Path:
    """A tiny model of four blocks, so that two memories have places of their own."""
    torch.manual_seed(0)
    model: Any
    if family == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(n_embd=WIDTH, n_layer=4, n_head=4, n_positions=64, **SIZES))
    else:
        shape = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4}
        shape |= {"num_key_value_heads": 2, "max_position_embeddings": 64, **SIZES}
        model = LlamaForCausalLM(LlamaConfig(**shape)) if family == "llama" else Qwen2ForCausalLM(Qwen2Config(**shape))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="module", params=["gpt2", "llama", "qwen2"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(model_folder(tmp_path_factory.mktemp(request.param), request.param))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("llama"))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(TEXTS), encoding="utf-8")
    return path


def module(backbone: CausalLM, **changes: Any) -> ReadoutTraining:
    fields: dict[str, Any] = {"steps": 30, "window": 32, "learning_rate": 1e-2, "warmup": 3, **changes}
    return ReadoutTraining(backbone.eval(), Recipe(**fields))


def randomised(training: ReadoutTraining) -> ReadoutTraining:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in [*training.scorers, *training.outs]:
            parameter.normal_(std=0.1)
    return training


def some_windows(backbone: CausalLM, window: int = 32) -> Tensor:
    return packed_windows(backbone, TEXTS, window, 4)


def session(folder: Path, out: Path, *, resume: bool = False, **changes: Any) -> Session:
    fields: dict[str, Any] = {"steps": 6, "window": 32, "learning_rate": 1e-2, "warmup": 1, **changes}
    return Session(f"hf:{folder}", Corpus("texts", TEXTS), Recipe(**fields), out, resume=resume)


def test_gradients_reach_readouts_and_scorers_and_nothing_else(backbone: CausalLM) -> None:
    training = randomised(module(backbone))
    training.training_step(some_windows(backbone)[:4]).backward()  # type: ignore[no-untyped-call]
    for parameter in [*training.scorers, *training.outs]:
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in backbone.parameters())
    trainable = {name for name, parameter in training.named_parameters() if parameter.requires_grad}
    assert trainable == {"scorers.0", "scorers.1", "outs.0", "outs.1"}


@pytest.mark.parametrize("n_pairs", [20, 100])
def test_the_gradient_through_the_solve_is_exact(n_pairs: int) -> None:
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(n_pairs, WIDTH, generator=generator, dtype=torch.float64)
    values = torch.randn(n_pairs, WIDTH, generator=generator, dtype=torch.float64)
    scorer = torch.randn(1, 2 * WIDTH, generator=generator, dtype=torch.float64).div(8).requires_grad_()
    probe = torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64)

    def reference(scorer: Tensor) -> Tensor:
        inverse = torch.linalg.pinv(keys, atol=0.0, rtol=1 / n_pairs)
        return weighed(keys, values, scorer).mT @ inverse.mT

    weights = batch_weights(keys, weighed(keys, values, scorer), alpha=1.0)
    torch.testing.assert_close(weights.double(), reference(scorer), rtol=1e-5, atol=1e-6)
    (found,) = torch.autograd.grad((weights * probe).sum(), scorer)
    (expected,) = torch.autograd.grad((reference(scorer) * probe).sum(), scorer)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_first_loss_is_the_backbones_own(backbone: CausalLM) -> None:
    training = module(backbone)
    ids = some_windows(backbone)[:4]
    with torch.no_grad():
        own = backbone.causal_lm(input_ids=ids, labels=ids).loss
    torch.testing.assert_close(training.training_step(ids).detach(), own)


def test_training_attaches_what_the_method_attaches(backbone: CausalLM, tmp_path: Path) -> None:
    """Without dropout, training and faast_lm put the same states through the model."""
    training = randomised(module(backbone, dropout=0.0))
    ids = some_windows(backbone)[:4]
    path = tmp_path / "readouts.safetensors"
    write_readouts(path, training.readouts, {})
    method = method_with(backbone, path, output_mix=0.0)
    with torch.no_grad():
        method.learn(ids, torch.ones_like(ids))
        method.solve()
        with method.attached():
            loss = backbone.causal_lm(input_ids=ids, labels=ids).loss
    torch.testing.assert_close(training.training_step(ids).detach(), loss, rtol=1e-4, atol=1e-5)


def method_with(backbone: CausalLM, path: Path | None, **config: Any) -> FaastLm:
    setting = Setting(1, 1, 1, 0, 0, 0.0, "\n", 0, Kind.LANGUAGE_MODELLING)
    return FaastLm(FaastLmConfig(readouts=None if path is None else str(path), **config), backbone, setting)


def test_the_loss_falls_and_the_backbone_stays(folder: Path, tmp_path: Path) -> None:
    ready = session(folder, tmp_path / "out.safetensors", steps=40)
    before = {name: tensor.clone() for name, tensor in ready.backbone.state_dict().items()}
    losses = ready.train(CPU).losses
    assert len(losses) == 40
    assert sum(losses[-5:]) < sum(losses[:5]) - 0.5
    after = ready.backbone.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_the_method_reads_the_file_and_answers_differently(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    ready = session(folder, out)
    ready.train(CPU)
    assert set(load_file(out)) == {name.format(number) for name in (SCORER, READOUT) for number in range(2)}
    with safe_open(out, "pt") as file:
        assert file.metadata()["corpus"] == "texts"
        assert file.metadata()["steps"] == "6"
    backbone = CausalLM(folder)
    ids = some_windows(backbone)[:2]
    answers = []
    for path in (None, out):
        method = method_with(backbone, path, output_mix=0.0)
        with torch.no_grad():
            method.learn(ids, torch.ones_like(ids))
            method.solve()
            with method.attached():
                answers.append(backbone.causal_lm(input_ids=ids).logits)
    assert (answers[0] - answers[1]).abs().max() > 1e-3


class KilledError(Exception):
    pass


@pytest.mark.parametrize("kill_at", [3, 5])
def test_a_killed_training_resumed_ends_as_an_uninterrupted_one(folder: Path, tmp_path: Path, kill_at: int) -> None:
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    expected = session(folder, whole).train(CPU)

    def kill(step: int, loss: float) -> None:
        if step == kill_at:
            raise KilledError

    ready = session(folder, killed)
    with pytest.raises(KilledError):
        ready.train(CPU, every=2, on_step=kill)
    assert not killed.exists()
    kept = torch.load(ready.checkpoint, weights_only=True)
    assert not [name for name in kept["state_dict"] if name.startswith("backbone")]
    with pytest.raises(UsageError, match=r"killed\.ckpt is a checkpoint of an unfinished training: give --resume"):
        session(folder, killed)
    done = session(folder, killed, resume=True).train(CPU)
    assert (done.resumed, done.steps) == (kill_at - 1, 6)
    assert done.losses == expected.losses
    ours, theirs = load_file(killed), load_file(whole)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert not ready.checkpoint.exists()


def test_a_checkpoint_of_another_training_is_not_resumed(folder: Path, tmp_path: Path) -> None:
    def kill(step: int, loss: float) -> None:
        raise KilledError

    out = tmp_path / "out.safetensors"
    with pytest.raises(KilledError):
        session(folder, out).train(CPU, every=1, on_step=kill)
    checkpoint = out.with_suffix(".ckpt")
    checkpoint.write_bytes(b"broken")
    with pytest.raises(DataError, match="cannot be resumed"):
        session(folder, out, resume=True)
    checkpoint.unlink()
    with pytest.raises(KilledError):
        session(folder, out).train(CPU, every=1, on_step=kill)
    with pytest.raises(UsageError, match="is a checkpoint with seed=0, not 1"):
        session(folder, out, resume=True, seed=1)


def test_batches_cover_each_epoch_and_do_not_depend_on_where_they_begin() -> None:
    windows = torch.arange(7).view(7, 1)
    batches = [batch.flatten().tolist() for batch in Batches(windows, 3, 7, seed=0)]
    flat = [place for batch in batches for place in batch]
    for epoch in range(3):
        assert sorted(flat[epoch * 7 : (epoch + 1) * 7]) == list(range(7))
    assert flat[:7] != flat[7:14]
    for first in range(7):
        assert [batch.flatten().tolist() for batch in Batches(windows, 3, 7, 0, first)] == batches[first:]


def test_learning_rate_rises_then_falls_to_nothing(folder: Path) -> None:
    training = module(CausalLM(folder), steps=100, warmup=10)
    shares = [training._share(step) for step in range(100)]
    assert shares[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert shares[10] == 1.0
    assert shares[10:] == sorted(shares[10:], reverse=True)
    assert 0 < shares[-1] < 0.01
    assert [warmup_steps(steps) for steps in (5, 100, 20_000)] == [0, 10, 500]


@pytest.mark.parametrize("size", [2**20, 50])
def test_windows_hold_the_texts_joined(folder: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(corpora, "CHARACTERS_AT_ONCE", size)
    backbone = CausalLM(folder)
    windows = packed_windows(backbone, TEXTS, 16, 1)
    assert windows.shape[1] == 16
    joined = "\n\n".join(TEXTS)
    for row in windows:
        assert backbone.tokenizer.decode(row) in joined
    if size > len(joined):
        (total,) = backbone.count_tokens([joined])
        assert len(windows) == total // 16


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"window": 65}, UsageError, "--window must be at most the model's 64 tokens, got 65"),
        ({"batch": 1000}, DataError, "a batch needs 1000 windows of 32 tokens, and the corpus fills"),
        ({"memories": 4}, UsageError, "--memories must be 1 to 3 for a model of 4 blocks, got 4"),
    ],
)
def test_recipes_that_do_not_fit(
    folder: Path, tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        session(folder, tmp_path / "out.safetensors", **changes)


def test_a_loss_that_is_no_number_ends_the_training(folder: Path, tmp_path: Path) -> None:
    answer = Readout(torch.zeros(1, 2 * WIDTH), torch.full((WIDTH, WIDTH), math.nan))
    training = module(CausalLM(folder))
    with torch.no_grad():
        training.outs[0].copy_(answer.out)
    with pytest.raises(Exception, match="the loss at step 1 is nan; use a smaller --lr"):
        training.training_step(some_windows(CausalLM(folder))[:4])


def test_corpora(tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_corpus(str(text), None).texts == ("\n\n".join(TEXTS).strip(),)
    (tmp_path / "more").mkdir()
    for name, content in (("b.txt", "second"), ("a.txt", "first\n"), ("empty.txt", " \n"), ("c.md", "not read")):
        (tmp_path / "more" / name).write_text(content, encoding="utf-8")
    found = read_corpus(str(tmp_path / "more"), None)
    assert found.texts == ("first", "second")
    assert found.revision != Corpus("other", ("firsts", "econd")).revision
    (tmp_path / "none").mkdir()
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "binary.txt").write_bytes(b"abc\xff")
    monkeypatch.chdir(tmp_path)
    for name, error, message in (
        ("gone.txt", DataError, "--corpus gone.txt: no such file or folder"),
        ("no/such", DataError, "--corpus no/such: no such file or folder"),
        ("none", DataError, "is a folder without a .txt file"),
        ("empty.txt", DataError, "holds no text"),
        ("binary.txt", DataError, "binary.txt must be text in UTF-8, and is not at byte 3"),
        ("lexicn", UsageError, "tasks has no 'lexicn'; did you mean 'lexicon'"),
        ("lexicon", UsageError, "needs a task of language_modelling, .* lexicon is text_classification"),
    ):
        with pytest.raises(error, match=message) as caught:
            read_corpus(name, None)
        assert "\n" not in str(caught.value)


def test_a_task_gives_its_support_pool() -> None:
    from tasks.pydoc_text import PydocText

    assert read_corpus("pydoc_text", None).texts == tuple(PydocText().load(None).support.inputs["input"])


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
    for number, readout in enumerate(read_readouts(out, WIDTH)):
        assert torch.equal(readout.scorer, tensors[SCORER.format(number)].float())
        assert torch.equal(readout.out, tensors[READOUT.format(number)].float())


def test_of_a_repository_only_files_with_readouts_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = released(memories=1)
    wanted = {name: tensor for name, tensor in tensors.items() if name in {SCORER.format(0), READOUT.format(0)}}
    save_file(wanted, tmp_path / "model-00002.safetensors")
    placed = {name: f"model-0000{2 if name in wanted else 1}.safetensors" for name in tensors}
    (tmp_path / files.INDEX).write_text(json.dumps({"weight_map": placed}))
    asked: list[tuple[str, ...]] = []

    def fetch(repository: str, kind: str, revision: str, patterns: tuple[str, ...]) -> Path:
        assert (repository, kind) == ("gshbao/faast-gpt2-xl", "model")
        asked.append(patterns)
        return tmp_path

    monkeypatch.setattr(files, "hub_folder", fetch)
    assert len(released_readouts("gshbao/faast-gpt2-xl")) == 1
    assert asked == [(files.INDEX,), ("model-00002.safetensors",)]
    (tmp_path / files.INDEX).unlink()
    released_readouts("gshbao/faast-gpt2-xl")
    assert asked[-1] == ("*.safetensors",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({SCORER.format(1): torch.ones(1, WIDTH)}, r"scorer.weight of .* must have shape \(1, 64\), got \(1, 32\)"),
        ({READOUT.format(1): torch.ones(16, 16)}, r"out_proj.weight of .* must have shape \(32, 32\), got \(16, 16\)"),
        ({READOUT.format(0): torch.ones(WIDTH)}, r"out_proj.weight of .* must have shape \(32, 32\), got \(32,\)"),
        ({READOUT.format(3): torch.ones(WIDTH, WIDTH)}, "has readouts up to number 3, but no external.layers.2"),
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
        ("empty", "holds no \\*.safetensors"),
        ("broken.safetensors", "cannot be read as safetensors"),
        ("plain.safetensors", "holds no readout; it needs tensors such as external.layers.0"),
        ("gone.safetensors", "is no file, no folder and no id of the hub"),
    ):
        with pytest.raises(DataError, match=message):
            released_readouts(str(tmp_path / source))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """``bench ...`` in this process and a folder of its own; answers exit code, output and standard error."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.delenv("BENCH_STORE", raising=False)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def command(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, words)])
        try:
            cli.main()
            code = 0
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


def test_train_import_and_run_from_the_command_line(bench: Any, folder: Path, text: Path, tmp_path: Path) -> None:
    train = ["readout", "train", "--backbone", f"hf:{folder}", "--corpus", text, "--window", 32, "--accelerator", "cpu"]
    code, out, err = bench(*train, "--steps", 3, "--lr", "1e-2", "--out", "made/mine.safetensors", "--logger", "csv")
    assert code == 0, err
    assert "--set faast_lm.readouts=made/mine.safetensors" in out
    assert "step 3 of 3: loss" in err
    (losses,) = (tmp_path / "made").glob("mine-losses/*/metrics.csv")
    assert len(losses.read_text().splitlines()) == 4

    code, out, err = bench("readout", "import", "made/mine.safetensors")
    assert code == 0, err
    assert "2 memories of a model 32 wide" in out
    imported, made = load_file("readouts/mine.safetensors"), load_file("made/mine.safetensors")
    assert all(torch.equal(imported[name], tensor) for name, tensor in made.items())

    run = ["run", "--task", "lexicon", "--method", "faast_lm", "--backbone", f"hf:{folder}", "--logger", "none"]
    run += ["--shots", "1", "--episodes", "1", "--queries", "2", "--accelerator", "cpu"]
    code, _, err = bench(*run, "--set", "faast_lm.readouts=readouts/mine.safetensors")
    assert code == 0, err
    (record,) = (json.loads(path.read_text()) for path in Path("runs").glob("*.json"))
    assert record["status"] == "ok"


def test_losses_go_to_wandb_offline(bench: Any, folder: Path, text: Path, tmp_path: Path) -> None:
    train = ["readout", "train", "--backbone", f"hf:{folder}", "--corpus", text, "--window", 32, "--accelerator", "cpu"]
    code, _, err = bench(*train, "--steps", 2)
    assert code == 0, err
    assert "wandb sync readouts/wandb/offline-run-*" in err
    assert list(tmp_path.glob("readouts/wandb/offline-run-*/*.wandb"))
    assert list(tmp_path.glob(f"readouts/{folder.name}.safetensors"))


def test_wandb_that_cannot_start_gives_way_to_csv(
    bench: Any, folder: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "no such mode")
    train = ["readout", "train", "--backbone", f"hf:{folder}", "--corpus", text, "--window", 32, "--accelerator", "cpu"]
    code, _, err = bench(*train, "--steps", 2, "--out", "a.safetensors")
    assert code == 0, err
    assert "W&B cannot be used, losses go to a CSV file" in err
    assert list(tmp_path.glob("a-losses/*/metrics.csv"))


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from bench.cli import app\n"
        "try:\n    app(['readout', 'train', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'lightning', 'datasets', 'wandb'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "--checkpoint-every" in answer.stdout


TRAIN = ["train", "--backbone", "hf:{folder}", "--corpus", "text.txt", "--window", "32"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([*TRAIN, "--corpus", "gone.txt"], 1, "--corpus gone.txt: no such file"),
        ([*TRAIN, "--memories", "9"], 2, "--memories must be 1 to 3"),
        ([*TRAIN, "--backbone", "efficientnet_lite0"], 2, "backbone efficientnet_lite0 is none"),
        ([*TRAIN, "--backbone", "smolm"], 2, "backbones has no 'smolm'"),
        ([*TRAIN, "--out", "."], 2, "--out needs a file"),
        ([*TRAIN, "--out", "text.txt/a"], 1, "--out text.txt/a cannot be written"),
        ([*TRAIN, "--accelerator", "abc"], 2, "cannot be used here"),
        (["import", "nowhere"], 1, "nowhere is no file, no folder and no id of the hub"),
    ],
)
def test_mistakes_are_one_line(bench: Any, folder: Path, text: Path, words: list[str], code: int, message: str) -> None:
    found, _, err = bench("readout", *(word.replace("{folder}", str(folder)) for word in words))
    assert found == code, err
    assert err.startswith("bench: ")
    assert err.count("\n") == 1, err
    assert message in err
