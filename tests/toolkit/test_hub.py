"""The hub, by a small one on loopback: redirects, breaks, moved revisions, private repositories, offline."""

import time

import pandas as pd
import pytest
from huggingface_hub import constants

from bench.backbones.hf import CausalLM
from bench.contracts import DataError
from bench.testing.tiny_models import save_model
from bench.toolkit.sources import Source, hub_folder
from tests.helpers.hub import TOKEN, running_hub

FILES = ("*.safetensors", "*.json")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with running_hub(monkeypatch, tmp_path / "hub") as made:
        yield made


def files(weights=b"w" * 300_000, config=b"{}"):
    return {"config.json": config, "model.safetensors": weights, "README.md": b"# Not needed"}


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_a_model_is_downloaded_once_and_runs_with_and_without_the_hub(hub, cache, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    save_model(folder, "gpt2")
    repository = hub.model("me/tiny", {path.name: path.read_bytes() for path in folder.iterdir()})
    made = CausalLM("me/tiny")
    assert made.fingerprint == CausalLM(folder).fingerprint
    assert made.revision == CausalLM(f"me/tiny@{repository.main}").revision == repository.main
    sent = [path for path, _ in hub.transfers()]
    assert sum(path.startswith("/storage/") for path in sent) == 1
    assert all(path.startswith(("/storage/", f"/me/tiny/resolve/{repository.main}/")) for path in sent)
    hub.requests.clear()
    CausalLM("me/tiny")
    assert hub.requests
    assert hub.transfers() == []

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    assert CausalLM("me/tiny").fingerprint == made.fingerprint
    assert hub.requests == []
    with pytest.raises(DataError, match=r"me/other cannot be downloaded from the hub .*unset the `HF_HUB_OFFLINE`"):
        CausalLM("me/other")


@pytest.mark.slow
def test_a_data_set_is_read_by_its_pinned_commit_under_its_new_name(hub, cache, tmp_path):
    shards = {}
    for split in ("train", "test"):
        for part in range(2):
            path = tmp_path / f"{split}.parquet"
            pd.DataFrame({"text": [f"{split} {part} {row}" for row in range(3)]}).to_parquet(path)
            shards[f"data/{split}-0000{part}-of-00002.parquet"] = path.read_bytes()
    repository = hub.dataset("them/words", shards)
    pinned = repository.main
    repository.commit({})  # main has moved on
    hub.dataset("them/old", {}).moved_to = "them/words"
    loaded, revision = Source("words", "them/old", pinned).load(None)
    assert revision == f"them/old@{pinned}"
    assert loaded["train"]["text"] == [f"train {part} {row}" for part in range(2) for row in range(3)]
    hub.requests.clear()
    Source("words", "them/old", pinned).load(None)
    assert hub.transfers() == []


def test_a_download_that_breaks_off_goes_on_at_the_same_byte(hub, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    hub.model("me/tiny", files())
    hub.break_off, hub.breaks = 100_000, 1
    folder = hub_folder("me/tiny", "model", "main", FILES)
    assert content(folder) == {name: data for name, data in files().items() if name != "README.md"}
    ranges = [part for path, part in hub.transfers() if path.startswith("/storage/")]
    assert ranges[0] is None
    assert 0 < int(ranges[1].removeprefix("bytes=").removesuffix("-")) <= 100_000


@pytest.mark.slow
def test_a_download_that_breaks_off_again_and_again_is_one_error_and_the_next_one_is_whole(hub, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    hub.model("me/tiny", files())
    hub.breaks = 100
    with pytest.raises(DataError, match="me/tiny cannot be downloaded from the hub"):
        hub_folder("me/tiny", "model", "main", FILES)
    hub.breaks = 0
    assert content(hub_folder("me/tiny", "model", "main", FILES))["model.safetensors"] == files()["model.safetensors"]


@pytest.mark.slow
def test_a_moved_revision_is_another_folder_and_a_named_one_stays(hub):
    repository = hub.model("me/tiny", files())
    before = repository.main
    first = hub_folder("me/tiny", "model", "main", FILES)
    after = repository.commit(files(weights=b"v" * 1000))
    second = hub_folder("me/tiny", "model", "main", FILES)
    assert (first.name, second.name) == (before, after)
    assert content(second)["model.safetensors"] == b"v" * 1000
    assert hub_folder("me/tiny", "model", before, FILES) == first
    with pytest.raises(DataError, match="it has no revision 'v2'"):
        hub_folder("me/tiny", "model", "v2", FILES)


@pytest.mark.slow
@pytest.mark.parametrize("status", [401, 403])
def test_a_private_repository_needs_a_token(hub, monkeypatch, status):
    hub.model("me/closed", files()).closed = status
    with pytest.raises(DataError) as error:
        hub_folder("me/closed", "model", "main", FILES)
    assert "does not exist, or is private or gated" in str(error.value)
    assert "set HF_TOKEN" in str(error.value)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    folder = hub_folder("me/closed", "model", "main", FILES)
    # What is there is read without the token too.
    monkeypatch.delenv("HF_TOKEN")
    assert hub_folder("me/closed", "model", "main", FILES) == folder


def test_a_hub_that_is_down_serves_from_the_cache_and_is_one_error_without(hub):
    hub.model("me/tiny", files())
    folder = hub_folder("me/tiny", "model", "main", FILES)
    hub.down = True
    assert hub_folder("me/tiny", "model", "main", FILES) == folder
    with pytest.raises(DataError, match=r"me/other cannot be downloaded from the hub \(.*503"):
        hub_folder("me/other", "model", "main", FILES)


def test_a_download_that_lacks_a_file_is_not_taken_for_a_whole_one(hub, monkeypatch):
    hub.model("me/tiny", files())
    hub_folder("me/tiny", "model", "main", ("*.json",))
    hub.down = True
    with pytest.raises(DataError, match="me/tiny cannot be downloaded from the hub"):
        hub_folder("me/tiny", "model", "main", FILES)
