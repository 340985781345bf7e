"""The table of features and its cache: nothing is lost, nothing is mixed up, what cannot be used is named."""

import errno
import multiprocessing
import pickle

import numpy as np
import pytest
import torch

from bench.contracts import Classes, DataError, Features, Inputs, NumericalError, Query, StoreError
from bench.data.feature_cache import FeatureCache
from bench.data.features import FeatureTable

IDENTITY = {"weights": "w", "data": "d", "task": "t", "split": "support", "precision": "32-true"}


def features(positions, salt=0):
    """Features that tell their position."""
    base = torch.as_tensor(positions, dtype=torch.float32)[:, None] + salt
    return Features(keys=base + torch.arange(4) / 8, prior=-base - torch.arange(3) / 8)


def save(cache, positions, salt=0):
    positions = np.asarray(positions)
    cache.save(positions, features(positions, salt))


def load(cache, n_items=10):
    """The cached features, all of which are intact."""
    warnings = []
    loaded = cache.load("support", n_items, warnings.append)
    assert warnings == []
    return loaded


def table(n_items=10):
    return FeatureTable("support", np.full(n_items, -1, dtype=np.int64))


def test_shards_read_back_as_they_were_written(tmp_path):
    cache = FeatureCache(tmp_path, IDENTITY)
    save(cache, [7, 2, 5])
    save(cache, [0, 9])
    loaded = load(cache)
    wanted = features([7, 0, 2, 9, 5])
    keys, prior = loaded.gather(np.array([[7, 0, 2, 9, 5]]))
    assert torch.equal(keys[0], wanted.keys)
    assert torch.equal(prior[0], wanted.prior)
    assert sorted(path.suffix for path in cache.folder.iterdir()) == [".safetensors"] * 2


def test_what_is_missing_is_the_rest_of_the_union(tmp_path):
    cache = FeatureCache(tmp_path, IDENTITY)
    save(cache, [1, 3])
    loaded = load(cache)
    requested = np.array([[5, 3, -1], [1, 5, 8]])
    assert loaded.missing(requested).tolist() == [5, 8]
    assert load(cache).missing(np.array([1, 3])).size == 0
    loaded.add(np.array([5, 8]), features([5, 8]))
    assert loaded.missing(requested).size == 0
    assert torch.equal(loaded.gather(requested)[0][0, 0], features([5]).keys[0])


def test_an_item_that_comes_twice_keeps_its_first_features(tmp_path):
    grown = table()
    grown.add(np.array([1, 2]), features([1, 2]))
    grown.add(np.array([2, 3]), features([2, 3], salt=100))
    keys, _ = grown.gather(np.array([[1, 2, 3]]))
    assert torch.equal(keys[0], torch.cat([features([1, 2]).keys, features([3], salt=100).keys]))
    assert len(grown) == 3


@pytest.mark.parametrize("field", sorted(IDENTITY))
def test_another_identity_never_sees_these_features(tmp_path, field):
    save(FeatureCache(tmp_path, IDENTITY), [1, 2, 3])
    other = FeatureCache(tmp_path, {**IDENTITY, field: "another"})
    assert load(other).missing(np.arange(10)).size == 10
    save(other, [1], salt=50)
    keys, _ = load(FeatureCache(tmp_path, IDENTITY)).gather(np.array([[1]]))
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


@pytest.mark.slow
def test_two_processes_that_write_at_the_same_time_lose_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    # The middle part is written by both.
    writers = [context.Process(target=_save_many, args=(tmp_path, first)) for first in (0, 200)]
    for writer in writers:
        writer.start()
    cache = FeatureCache(tmp_path, IDENTITY)
    while any(writer.is_alive() for writer in writers):
        load(cache, 600)  # never a half-written file
    assert [writer.exitcode for writer in writers] == [0, 0]
    loaded = load(cache, 600)
    assert loaded.missing(np.arange(600)).size == 0
    keys, _ = loaded.gather(np.arange(600)[None])
    assert torch.equal(keys[0], features(range(600)).keys)


def test_a_full_disk_is_named_and_leaves_no_half_shard(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path, IDENTITY)
    save(cache, [1])

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=r"No space left on device.*BENCH_CACHE") as caught:
        save(cache, [2])
    assert str(cache.folder) in str(caught.value)
    assert len(list(cache.folder.iterdir())) == 1
    assert load(cache).missing(np.array([1, 2])).tolist() == [2]


def reread(cache, n_items=10):
    """The features of a cache with a damaged shard, and the one warning."""
    warnings = []
    loaded = cache.load("support", n_items, warnings.append)
    (warning,) = warnings
    assert "are encoded anew" in warning
    return loaded, warning


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"\0" * len(data),
        lambda data: data.replace(b"positions", b"locations"),
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data.replace(b'"t\\"', b'"u\\"'),
    ],
    ids=["cut", "empty", "zeros", "name", "one bit", "identity"],
)
def test_a_damaged_shard_is_passed_over_with_one_warning_and_made_anew(tmp_path, damage):
    cache = FeatureCache(tmp_path, IDENTITY)
    for positions in ([1, 2], [3], [4]):
        save(cache, positions)
    whole = {path: path.read_bytes() for path in cache.folder.iterdir()}
    for path, content in list(whole.items())[:2]:
        assert damage(content) != content
        path.write_bytes(damage(content))
    loaded, warning = reread(cache)
    assert warning.endswith(" and 1 more)")
    assert len(list(cache.folder.iterdir())) == 1
    save(cache, loaded.missing(np.arange(1, 5)))
    keys, _ = load(cache).gather(np.arange(1, 5)[None])
    assert torch.equal(keys[0], features(range(1, 5)).keys)


@pytest.mark.parametrize(
    ("positions", "shard"),
    [
        ([20], features([20])),
        ([-2], features([-2])),
        ([3, 3], features([3, 3])),
        ([3], Features(torch.ones(1, 9), torch.ones(1, 3))),
        ([3], Features(torch.ones(1, 4), torch.ones(1, 1))),
        ([3], Features(torch.ones(1, 4, dtype=torch.float64), torch.ones(1, 3))),
        ([3, 4], Features(torch.ones(1, 4), torch.ones(1, 3))),
    ],
    ids=["beyond the pool", "negative", "twice", "width of keys", "width of priors", "type", "rows"],
)
def test_a_whole_shard_that_does_not_fit_its_pool_is_damage(tmp_path, positions, shard):
    cache = FeatureCache(tmp_path, IDENTITY)
    save(cache, [1])
    (good,) = cache.folder.iterdir()
    cache.save(np.array(positions), shard)
    other = next(path for path in cache.folder.iterdir() if path != good)
    other.replace(cache.folder / f"{'f' * 24}.safetensors")  # read after the good one
    loaded, _ = reread(cache)
    assert loaded.missing(np.array([1, 3])).tolist() == [3]
    assert list(cache.folder.iterdir()) == [good]


def test_files_of_others_in_the_cache_are_not_read_and_not_deleted(tmp_path):
    cache = FeatureCache(tmp_path, IDENTITY)
    save(cache, [1])
    (cache.folder / "mine.safetensors").write_text("mine")
    (cache.folder / ".bench-mine.tmp").write_text("mine")
    load(cache)
    assert len(list(cache.folder.iterdir())) == 3


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


def test_priors_that_are_the_keys_are_kept_gathered_and_moved_once(tmp_path):
    cache = FeatureCache(tmp_path, IDENTITY)
    for positions in ([1, 3], [5]):
        keys = features(positions).keys
        cache.save(np.asarray(positions), Features(keys, keys.clone() if len(positions) == 1 else keys))
    loaded = load(cache)
    keys, prior = loaded.gather(np.array([[5, 1, -1]]))
    assert prior is keys
    assert torch.equal(keys[0], torch.stack([*features([5, 1]).keys, torch.zeros(4)]))
    classes = Classes(torch.zeros(1, 1, 4), (("a",),))
    query = Query(keys, prior, torch.ones(1, 3, dtype=torch.bool), classes, Inputs(np.zeros((1, 3)), list))
    moved = query.to(torch.device("meta"))
    assert moved.prior is moved.keys
    assert moved.keys.device.type == moved.mask.device.type == "meta"
    # One part with priors of its own is enough for two tensors.
    loaded.add(np.array([7]), Features(features([7]).keys, -features([7]).keys))
    keys, prior = loaded.gather(np.array([[7, 5]]))
    assert torch.equal(prior, torch.stack([-keys[0, 0], keys[0, 1]])[None])


def test_features_on_the_disk_are_mapped_when_they_are_read_and_sent_by_name(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path, IDENTITY)
    keys = torch.randn(1000, 64)
    grown = table(1000)
    for part in np.split(np.random.default_rng(0).permutation(1000), 4):
        grown.add(part, Features(keys[part], keys[part]))
        grown.stored(cache.save(part, grown.last()))
    sent = pickle.dumps(grown)
    assert len(sent) < keys.nbytes / 10
    monkeypatch.setattr(torch, "cat", None)  # the parts stay apart
    for mapped in (grown, load(cache, 1000), pickle.loads(sent)):
        assert mapped.mapped
        wanted = np.random.default_rng(1).integers(-1, 1000, (3, 500))
        found, prior = mapped.gather(wanted)
        assert prior is found
        assert torch.equal(found, keys[wanted] * torch.from_numpy(wanted >= 0).unsqueeze(-1))
    for path in cache.folder.iterdir():
        path.unlink()
    grown.gather(wanted)  # what is mapped stays
    with pytest.raises(StoreError, match="run again to encode them anew"):
        pickle.loads(sent).gather(wanted)
