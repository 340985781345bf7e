"""``bench readout`` as a user types it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: Any) -> Any:
    """``bench ...`` in this process and a folder of its own; answers exit code, output and standard error."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.delenv("BENCH_STORE", raising=False)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return in_process


@pytest.mark.slow
def test_train_import_and_run_from_the_command_line(bench: Any, folder: Path, text: Path, tmp_path: Path) -> None:
    train = ["readout", "train", "--backbone", f"hf:{folder}", "--corpus", text, "--window", 32, "--accelerator", "cpu"]
    code, out, err = bench(*train, "--steps", 3, "--lr", "1e-2", "--out", "made/mine.safetensors", "--logger", "csv")
    assert code == 0, err
    assert "--set faast@hidden_states.readouts=made/mine.safetensors" in out
    assert "step 3 of 3: loss" in err
    (losses,) = (tmp_path / "made").glob("csv/readouts-mine/*/metrics.csv")
    assert len(losses.read_text().splitlines()) == 4

    code, out, err = bench("readout", "import", "made/mine.safetensors")
    assert code == 0, err
    assert "2 memories of a model 32 wide" in out
    imported, made = load_file("readouts/mine.safetensors"), load_file("made/mine.safetensors")
    assert all(torch.equal(imported[name], tensor) for name, tensor in made.items())

    run = [
        "run",
        "--task",
        "lexicon",
        "--method",
        "faast@hidden_states",
        "--backbone",
        f"hf:{folder}",
        "--logger",
        "none",
    ]
    run += ["--shots", "1", "--episodes", "1", "--queries", "2", "--accelerator", "cpu"]
    code, _, err = bench(*run, "--set", "faast@hidden_states.readouts=readouts/mine.safetensors")
    assert code == 0, err
    (record,) = (json.loads(path.read_text()) for path in Path("runs").glob("*.json"))
    assert record["status"] == "ok"


@pytest.mark.slow
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
    assert "wandb cannot be used, losses go to a CSV file" in err
    assert list(tmp_path.glob("csv/readouts-a/*/metrics.csv"))


@pytest.mark.slow
def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from bench.cli.app import app\n"
        "try:\n    app(['readout', 'train', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'lightning', 'datasets', 'wandb'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "--checkpoint-every" in answer.stdout


TRAIN = ["train", "--backbone", "hf:{folder}", "--corpus", "text.txt", "--window", "32"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([*TRAIN, "--corpus", "gone.txt"], 1, "there is no file or folder gone.txt"),
        ([*TRAIN, "--memories", "9"], 2, "--memories must be 1 to 3"),
        ([*TRAIN, "--backbone", "efficientnet_lite0"], 2, "efficientnet_lite0 is none"),
        ([*TRAIN, "--backbone", "smolm"], 2, "no backbone 'smolm'"),
        ([*TRAIN, "--out", "."], 2, "--out needs a file"),
        ([*TRAIN, "--out", "text.txt/a"], 1, "--out text.txt/a cannot be written"),
        ([*TRAIN, "--accelerator", "abc"], 2, "cannot be used here"),
        (
            ["import", "nowhere"],
            1,
            "must be a file, a folder or an id of the hub such as gshbao/faast-gpt2-xl, got nowhere",
        ),
    ],
)
def test_mistakes_are_one_line(bench: Any, folder: Path, text: Path, words: list[str], code: int, message: str) -> None:
    found, _, err = bench("readout", *(word.replace("{folder}", str(folder)) for word in words))
    assert found == code, err
    assert err.startswith("bench: ")
    assert err.count("\n") == 1, err
    assert message in err
