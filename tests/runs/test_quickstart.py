"""The quickstart's own way on a small suite: real embedded backbones, real tasks, the real command."""

import json
import os
import resource
import subprocess
import sys

import pytest

from tests.helpers.command import shell

pytestmark = pytest.mark.slow
SUITE = """
name: small
blocks:
  - task: digits
    methods: [zero_shot, faast, in_context]
    shots: [1]
    seeds: [0]
    episodes: 2
    queries: 3
  - task: lexicon
    methods: [zero_shot, faast, in_context]
    shots: [1]
    seeds: [0]
    episodes: 2
    queries: 3
"""
STATUS = {
    ("digits", "zero_shot", 0): "ok",
    ("digits", "faast", 1): "ok",
    ("digits", "in_context", 1): "skipped",
    ("lexicon", "zero_shot", 0): "ok",
    ("lexicon", "faast", 1): "ok",
    ("lexicon", "in_context", 1): "ok",
}
CACHED_SECONDS = 3
"""What the quickstart promises when all is recorded; of the processor, so that a busy machine does not matter."""


def start(*words):
    """The command as a user starts it; W&B keeps its files on disk as for a user without a key."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, words)],
        capture_output=True, text=True, timeout=500, check=False, env={**os.environ, "WANDB_MODE": "offline"},
    )  # fmt: skip


def processor_seconds():
    """What all processes that this one waited for have used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory, smollm2):
    """The first run: its answer, and the command to repeat it."""
    folder = tmp_path_factory.mktemp("quickstart")
    (folder / "small.yaml").write_text(SUITE)
    words = ("run", folder / "small.yaml", "--store", folder / "store")
    # Calls with a folder of data are planned anew each time, since its files may have changed.
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BENCH_DATA", raising=False)
        yield shell(*words, WANDB_MODE="offline"), words, folder / "store"


def records(store):
    return [json.loads(path.read_text()) for path in sorted(store.glob("*.json"))]


def test_every_run_is_in_the_table_with_its_status(quickstart):
    answer, _, store = quickstart
    assert answer.returncode == 0, answer.stderr
    found = {(one["spec"]["task"], one["spec"]["method"], one["spec"]["shots"]): one for one in records(store)}
    assert {key: one["status"] for key, one in found.items()} == STATUS
    lines = [line.replace("│", " ").split() for line in answer.stdout.splitlines()]
    for (task, method, shots), status in STATUS.items():
        (line,) = [words for words in lines if words[:3] == [task, method, str(shots)]]
        assert line[-1] == status
    for word in ("score", "encode s", "adapt s", "query ms", "peak MB", "status", "95% interval"):
        assert word in answer.stdout
    assert "skipped: digits in_context: in_context serves text_classification" in answer.stdout
    # A line for each finished run, lines of what is prepared, and nothing else but what the user must know.
    said = answer.stderr.splitlines()
    assert [line for line in said if line.startswith("preparing: ")][:2] == [
        "preparing: loading libraries", "preparing: digits: reading data"
    ]  # fmt: skip
    *lines, hint, after = [line for line in said if not line.startswith("preparing: ")]
    assert after.startswith("next: bench open --store ")
    assert "shows the page, bench compare " in after
    assert [line.split()[0] for line in lines] == [f"[{number}/6]" for number in range(1, 7)]
    assert sorted(tuple(line.split()[1:3]) for line in lines) == sorted((task, method) for task, method, _ in STATUS)
    assert all(": accuracy " in line or ": skipped: " in line for line in lines)
    assert hint.startswith("W&B runs were kept offline")


def test_the_numbers_are_those_of_working_models(quickstart):
    _, _, store = quickstart
    found = {(one["spec"]["task"], one["spec"]["method"]): one for one in records(store) if one["status"] == "ok"}
    assert found["lexicon", "zero_shot"]["value"] > 60  # 88.6 measured on 1,000 words; 12 words here
    assert found["digits", "faast"]["value"] > found["digits", "zero_shot"]["value"]  # labels mean nothing to the prior
    for one in found.values():
        assert len(one["episode_scores"]) == 2
        assert one["costs"]["query"]["seconds"] > 0
        assert one["n_queries"] == 2 * 3 * (10 if one["spec"]["task"] == "digits" else 2)
    assert found["lexicon", "faast"]["costs"]["encode"]["seconds"] > 0
    assert found["lexicon", "in_context"]["costs"]["encode"]["seconds"] == 0  # it reads prompts, at its own cost


def test_a_second_time_it_is_served_from_the_records(quickstart):
    first, words, store = quickstart
    assert first.returncode == 0
    before = {path: path.stat().st_mtime_ns for path in store.glob("*.json")}
    logged = len(list((store / "wandb").glob("offline-run-*")))
    began = processor_seconds()
    again = start(*words)
    seconds = processor_seconds() - began
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
    assert again.stderr == f"6 runs are recorded already\n{first.stderr.splitlines()[-1]}\n"
    assert {path: path.stat().st_mtime_ns for path in store.glob("*.json")} == before
    assert len(list((store / "wandb").glob("offline-run-*"))) == logged
    assert seconds < CACHED_SECONDS
