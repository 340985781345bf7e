"""Paths of users, and files of the hub's cache: what they are named by is what they hold."""

import hashlib
import os
import socket
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.backbones._loading import load_decoder
from bench.contracts import DataError
from bench.contracts.errors import BenchError, BenchWarning
from bench.readouts.corpus import read_corpus
from bench.spec.best_config import read_configs
from bench.toolkit import files, sources
from bench.toolkit.files import cache_folder, is_damaged_download, user_path, weights_hash
from bench.toolkit.sources import hub_folder, read_rows
from tasks.image_folder import ImageFolder
from tasks.text_folder import TextFolder

pytestmark = pytest.mark.usefixtures("cache")


def test_the_home_folder_is_what_a_shell_makes_of_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BENCH_CACHE", "~/cache")
    assert user_path("~/runs") == tmp_path / "runs"
    assert cache_folder() == tmp_path / "cache"
    assert user_path("a~b") == Path("a~b")
    assert user_path("~nobody-here/runs") == Path("~nobody-here/runs")


def snapshot(folder, content=b"weights" * 999, small=b"{}"):
    """A snapshot in the layout of the hub's cache: links to files that are named by hashes of their contents."""
    blobs, made = folder / "blobs", folder / "snapshots" / "main"
    for each in (blobs, made):
        each.mkdir(parents=True, exist_ok=True)
    names = {
        "model.safetensors": (hashlib.sha256(content).hexdigest(), content),
        "config.json": (hashlib.sha1(b"blob %d\0" % len(small) + small).hexdigest(), small),
    }
    for name, (digest, data) in names.items():
        if not (made / name).exists():
            (blobs / digest).write_bytes(data)
            (made / name).symlink_to(blobs / digest)
    return made


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_download_that_is_not_what_it_is_named_by_is_damaged(tmp_path, name):
    path = snapshot(tmp_path) / name
    for _ in range(2):  # the second time by the digest that was kept
        files._is_damaged_state.cache_clear()
        assert not is_damaged_download(path)
        weights_hash(path)
    content = path.read_bytes()
    path.resolve().write_bytes(b"\0" + content[1:])
    assert is_damaged_download(path)
    assert not is_damaged_download(path.resolve())  # a user's own file is named as the user likes
    if name == "model.safetensors":
        with pytest.raises(DataError, match=f"{path.resolve()} to download it again"):
            weights_hash(path)


def test_a_damaged_download_is_made_anew_where_the_hub_is_reached_and_named_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "snapshot_download", lambda repository, **options: str(snapshot(tmp_path)))
    monkeypatch.setattr(sources, "_unreachable", lambda *repository: "no network")
    target = (snapshot(tmp_path) / "model.safetensors").resolve()
    target.write_bytes(b"\0" * 6993)
    with pytest.raises(DataError, match=rf"1 files of a/b .* are damaged.*delete {target} and run again"):
        hub_folder("a/b", "model", "main", ["*.safetensors"])
    hub_folder("a/b", "model", "main", ["*.json"])  # only what is needed is read
    monkeypatch.setattr(sources, "_unreachable", lambda *repository: None)
    with pytest.warns(BenchWarning, match="downloaded again"):
        folder = hub_folder("a/b", "model", "main", ["*.safetensors"])
    assert not is_damaged_download(folder / "model.safetensors")


@pytest.mark.slow
def test_an_arrow_copy_follows_the_content_of_its_file_and_damage_of_it_is_repaired(tmp_path):
    path = tmp_path / "rows.parquet"
    for value in (1, 2):
        pq.write_table(pa.table({"value": np.full(5000, value)}), path)
        os.utime(path, (1e9, 1e9))  # as ``cp -p`` does with a file of the same age
        assert set(read_rows("rows", [path])["value"]) == {value}
    for copy in cache_folder().rglob("*.arrow"):
        content = bytearray(copy.read_bytes())
        content[len(content) // 2] ^= 1
        copy.write_bytes(content)
    with pytest.warns(BenchWarning, match="the Arrow copy of rows .* is damaged .* made anew"):
        assert set(read_rows("rows", [path])["value"]) == {2}


def test_a_local_table_is_read_without_a_word_to_the_hub(tmp_path, monkeypatch):
    requests = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *place, **options: requests.append(place) or [])
    monkeypatch.setattr("bench.toolkit.sources.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    datasets.Dataset.from_dict({"value": [1, 2]}).to_parquet(tmp_path / "rows.parquet")
    assert list(read_rows("rows", [tmp_path / "rows.parquet"])["value"]) == [1, 2]
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="cannot be read"):
        read_rows("rows", [tmp_path / "damaged.parquet"])
    assert requests == []


def load_decoder_of_weights(folder):
    (folder / "model.safetensors").write_bytes(b"")
    load_decoder(folder, str(folder))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("best.yaml", lambda folder: read_configs([folder / "best.yaml"])),
        ("x/0.txt", lambda folder: TextFolder().load(folder)),
        ("x/0.png", lambda folder: ImageFolder().load(folder)),
        ("0.txt", lambda folder: read_corpus(str(folder), None)),
        ("config.json", load_decoder_of_weights),
    ],
)
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(tmp_path, name, read):
    pipe = tmp_path / name
    pipe.parent.mkdir(exist_ok=True)
    os.mkfifo(pipe)
    with pytest.raises(BenchError, match="a file is needed, and this is a pipe") as refused:
        read(tmp_path)
    assert str(pipe) in str(refused.value)
