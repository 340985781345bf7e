"""The table of features and its cache: nothing is lost, nothing is mixed up, what cannot be used is named."""

import errno
import multiprocessing

import numpy as np
import pytest
import torch

from bench.contracts import DataError, Features, NumericalError, StoreError
from bench.data.features import FeatureCache, FeatureTable

IDENTITY = {"weights": "w", "data": "d", "task": "t", "split": "support", "precision": "32-true"}


def features(positions, salt=0):
    """Features that tell their position."""
    base = torch.as_tensor(positions, dtype=torch.float32)[:, None] + salt
    return Features(keys=base + torch.arange(4) / 8, prior=-base - torch.arange(3) / 8)


def save(cache, positions, salt=0):
    positions = np.asarray(positions)
    cache.save(positions, features(positions, salt))


def table(n_items=10):
    return FeatureTable("support", np.full(n_items, -1, dtype=np.int64))


def test_shards_read_back_as_they_were_written(tmp_path):
    cache = FeatureCache(tmp_path, IDENTITY)
    save(cache, [7, 2, 5])
    save(cache, [0, 9])
    loaded = cache.load("support", 10)
    wanted = features([7, 0, 2, 9, 5])
    keys, prior = loaded.gather(np.array([[7, 0, 2, 9, 5]]))
    assert torch.equal(keys[0], wanted.keys)
    assert torch.equal(prior[0], wanted.prior)
    assert sorted(path.suffix for path in cache.folder.iterdir()) == [".safetensors"] * 2


def test_what_is_missing_is_the_rest_of_the_union(tmp_path):
    cache = FeatureCache(tmp_path, IDENTITY)
    save(cache, [1, 3])
    loaded = cache.load("support", 10)
    requested = np.array([[5, 3, -1], [1, 5, 8]])
    assert loaded.missing(requested).tolist() == [5, 8]
    assert cache.load("support", 10).missing(np.array([1, 3])).size == 0
    loaded.add(np.array([5, 8]), features([5, 8]))
    assert loaded.missing(requested).size == 0
    assert torch.equal(loaded.gather(requested)[0][0, 0], features([5]).keys[0])


def test_an_item_that_comes_twice_keeps_its_first_features(tmp_path):
    grown = table()
    grown.add(np.array([1, 2]), features([1, 2]))
    grown.add(np.array([2, 3]), features([2, 3], salt=100))
    keys, _ = grown.gather(np.array([[1, 2, 3]]))
    assert torch.equal(keys[0], torch.cat([features([1, 2]).keys, features([3], salt=100).keys]))
    assert len(grown.keys) == 3


@pytest.mark.parametrize("field", sorted(IDENTITY))
def test_another_identity_never_sees_these_features(tmp_path, field):
    save(FeatureCache(tmp_path, IDENTITY), [1, 2, 3])
    other = FeatureCache(tmp_path, {**IDENTITY, field: "another"})
    assert other.load("support", 10).missing(np.arange(10)).size == 10
    save(other, [1], salt=50)
    keys, _ = FeatureCache(tmp_path, IDENTITY).load("support", 10).gather(np.array([[1]]))
    assert torch.equal(keys[0], features([1]).keys)


def test_padding_gathers_zeros():
    grown = table()
    grown.add(np.array([0]), features([0], salt=5))
    keys, prior = grown.gather(np.array([[0, -1]]))
    assert torch.equal(keys[0, 0], features([0], salt=5).keys[0])
    assert not keys[0, 1].any()
    assert not prior[0, 1].any()


def _save_many(root, first):
    for number in range(first, first + 400, 10):
        save(FeatureCache(root, IDENTITY), range(number, number + 10))


def test_two_processes_that_write_at_the_same_time_lose_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    # The middle part is written by both.
    writers = [context.Process(target=_save_many, args=(tmp_path, first)) for first in (0, 200)]
    for writer in writers:
        writer.start()
    cache = FeatureCache(tmp_path, IDENTITY)
    while any(writer.is_alive() for writer in writers):
        cache.load("support", 600)  # never a half-written file
    assert [writer.exitcode for writer in writers] == [0, 0]
    loaded = cache.load("support", 600)
    assert loaded.missing(np.arange(600)).size == 0
    keys, _ = loaded.gather(np.arange(600)[None])
    assert torch.equal(keys[0], features(range(600)).keys)


def test_a_full_disk_is_named_and_leaves_no_half_shard(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path, IDENTITY)
    save(cache, [1])

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("bench.data.features.save_file", full)
    with pytest.raises(StoreError, match=r"No space left on device.*BENCH_CACHE") as caught:
        save(cache, [2])
    assert str(cache.folder) in str(caught.value)
    assert len(list(cache.folder.iterdir())) == 1
    assert cache.load("support", 10).missing(np.array([1, 2])).tolist() == [2]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"\0" * len(data),
        lambda data: data.replace(b"positions", b"locations"),
    ],
)
def test_a_damaged_shard_is_named(tmp_path, damage):
    cache = FeatureCache(tmp_path, IDENTITY)
    save(cache, [1, 2])
    shard = next(cache.folder.glob("*.safetensors"))
    shard.write_bytes(damage(shard.read_bytes()))
    with pytest.raises(StoreError, match=r"is damaged: .*delete it") as caught:
        cache.load("support", 10)
    assert str(shard) in str(caught.value)


def test_a_shard_of_a_larger_pool_or_of_another_width_is_damage(tmp_path):
    cache = FeatureCache(tmp_path, IDENTITY)
    save(cache, [1, 20])
    with pytest.raises(StoreError, match="is damaged"):
        cache.load("support", 10)
    cache.save(np.array([3]), Features(torch.ones(1, 9), torch.ones(1, 3)))
    with pytest.raises(StoreError, match="is damaged"):
        cache.load("support", 30)


@pytest.mark.parametrize("field", ["keys", "prior"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_features_that_are_not_finite_are_refused_by_item(field, bad):
    grown, given = table(), features(range(5))
    getattr(given, field)[3, 1] = bad
    grown.add(np.arange(5), given)
    grown.gather(np.array([[0, 1, 2, 4]]))
    with pytest.raises(NumericalError, match=r"1 of the 2 support items .*support item 3: .*must be finite"):
        grown.gather(np.array([[4, 3, -1]]))


def test_many_broken_items_are_counted_and_three_named():
    grown = table()
    grown.broken |= {number: DataError(f"torn {number}") for number in range(5)}
    with pytest.raises(DataError, match=r"5 of the 5 support items.*item 0: torn 0.*item 2: torn 2 and 2 more"):
        grown.require(np.arange(5))


def test_an_item_that_nobody_encoded_is_never_taken_for_zeros():
    grown = table()
    grown.add(np.array([0]), features([0]))
    with pytest.raises(DataError, match="support item 6: it was never encoded"):
        grown.gather(np.array([[0, 6]]))
