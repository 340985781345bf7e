"""What looks like a secret is not written to a record."""

import sys

import pytest

from bench.results.provenance import provenance
from bench.toolkit.secrets import HIDDEN, scrubbed, scrubbed_command

TOKEN = "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW"


@pytest.mark.parametrize(
    "word",
    [
        f"hf_{TOKEN}", f"ghp_{TOKEN}", f"github_pat_{TOKEN}", f"sk-proj-{TOKEN}", "AKIA" + "A1" * 8, "0123456789" * 4,
        f"eyJhbGciOi.{TOKEN}.sig", TOKEN, f"--token={TOKEN}", "--api-key=short", "--wandb-api-key=short",
        "PASSWORD=hunter2", "postgresql://user:hunter2@host/db", "https://token@host/x", "--auth=a:b",
        "https://host/x?access_token=short&a=1", "the value of-the-variable it is", "Authorization: Bearer short",
    ],
)  # fmt: skip
def test_a_secret_in_a_word_is_hidden(word, monkeypatch):
    monkeypatch.setenv("SERVICE_TOKEN", "of-the-variable")
    text = scrubbed(word)
    assert HIDDEN in text
    assert not any(secret in text for secret in (TOKEN, "short", "hunter2", "token@", "of-the-variable", "a:b"))


@pytest.mark.parametrize(
    "words",
    [
        [
            "bench",
            "run",
            "--task",
            "wikitext103:sliding",
            "--set",
            "faast.prior_strength=400",
            "--budget",
            "tokens=100",
        ],
        ["--backbone", "open_clip:ViT-B-32/laion2b_s34b_b79k", "--store", "/home/someone/A1/runs", "--seeds", "0-4"],
        ["--backbone", "hf:HuggingFaceTB/SmolLM2-135M-Instruct", "--match", "faast:adapt_seconds,state_mb"],
    ],
)
def test_usual_command_lines_stay(words):
    assert scrubbed_command(words) == words


def test_the_word_after_a_secret_option_is_hidden_in_provenance(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench", "run", "--password", "hunter2", "--task", "digits", "caf\udce9"])
    assert provenance("cpu")["command"] == ["bench", "run", "--password", HIDDEN, "--task", "digits", "caf\\udce9"]
