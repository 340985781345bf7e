"""Batches of a support set: in the order of the pool where it is very large, and read ahead for a GPU."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.contracts import Features, Pool, TaskData
from bench.data import batches
from bench.data.batches import EpisodeGroup, EpisodeSource
from bench.data.episodes import EpisodeSpec, draw_episodes
from bench.data.feature_cache import FeatureCache
from bench.data.features import FeatureTable
from bench.engine.adapt import adapt_and_answer
from bench.engine.feeding import READERS, ahead, feed_for
from bench.engine.lightning_module import ForwardAdaptation
from bench.engine.trainer import DeviceOptions
from bench.spec.resolve import resolve
from bench.spec.run_spec import RunSpec
from bench.testing.doubles import CosineBackbone

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
NAMES = ("a", "b", "c")
SIZE = 40


@pytest.fixture
def source(tmp_path):
    """Pools of features in files of 8 items, of clusters that overlap."""
    generator, rng, tables, pools = torch.Generator().manual_seed(0), np.random.default_rng(0), [], []
    backbone = CosineBackbone()
    values = backbone.class_embeddings(NAMES, ["{label}"])
    for split in ("support", "query"):
        labels = rng.permutation(np.arange(SIZE) % len(NAMES))
        cache, table = FeatureCache(tmp_path, {"split": split}), FeatureTable(split, np.full(SIZE, -1))
        for part in np.split(np.arange(SIZE), 5):
            keys = torch.randn(len(part), 16, generator=generator)
            keys[np.arange(len(part)), labels[part]] += 1.5
            table.add(part, Features(keys, values[labels[part]] + torch.randn(len(part), 12, generator=generator)))
            table.stored(cache.save(part, table.last()))
        tables.append(table)
        pools.append(replace(Pool.of_texts([f"{split} {item}" for item in range(SIZE)]), labels=labels))
    return EpisodeSource(TaskData(*pools, NAMES, "made up"), backbone, values, *tables)


def group(source, method="faast", **config):
    spec = RunSpec(
        task="digits", backbone="efficientnet_lite0", method=method, config=config, shots="full", seed=0, episodes=1,
        queries=None, ways=None,
    )  # fmt: skip
    episodes = draw_episodes(source.data, EpisodeSpec("digits", 0, 1, None, None, None))
    return EpisodeGroup(source, replace(resolve(spec), prior_strength=2.0), episodes)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(batches, "ITEMS_AT_ONCE", 7)


def positions(found):
    return [batch.inputs.positions[0].tolist() for batch in found]


def test_a_very_large_support_set_comes_in_the_order_of_its_pool(source, small_batches, monkeypatch):
    given = group(source)
    by_class = list(given.support_batches())
    assert np.array_equal(np.concatenate(positions(by_class)), given.episodes.support[0])
    drawn = [each for each, _ in zip(given.training_batches(9), range(6), strict=False)]
    monkeypatch.setattr(batches, "POOL_ORDER_ENTRIES", 0)
    found = list(given.support_batches())
    assert np.array_equal(np.concatenate(positions(found)), np.arange(SIZE))
    for batch in found:
        where = batch.inputs.positions
        assert torch.equal(batch.keys, source.support.gather(where)[0])
        assert np.array_equal(batch.labels.numpy(), source.data.support.labels[where])
    again = [each for each, _ in zip(given.training_batches(9), range(6), strict=False)]
    assert positions(again) == [sorted(each) for each in positions(drawn)]
    assert positions(again) != positions(drawn)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "config"),
    [("faast", {}), ("ridge", {}), ("knn", {}), ("hebbian", {}), ("nearest_mean", {"prior": "auto"})],
)
def test_answers_do_not_depend_on_the_order(source, small_batches, monkeypatch, method, config):
    devices = DeviceOptions(accelerator="cpu")
    expected = adapt_and_answer(group(source, method, **config), devices).scores
    monkeypatch.setattr(batches, "POOL_ORDER_ENTRIES", 0)
    found = adapt_and_answer(group(source, method, **config), devices).scores
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_batches_are_read_ahead_in_order_and_no_further_than_they_may_be():
    seen, threads = [], set()

    def part(columns, pinned=False):
        threads.add(threading.get_ident())
        return columns, pinned

    def columns():
        for number in range(10):
            seen.append(number)
            yield number

    coming = ahead(part, columns())
    assert next(coming) == (0, True)
    assert seen == list(range(READERS + 1))
    assert list(coming) == [(number, True) for number in range(1, 10)]
    assert threading.get_ident() not in threads
    assert not any(thread.name.startswith("bench-batches") for thread in threading.enumerate())


def test_an_error_of_a_reader_comes_in_its_place_and_an_early_end_leaves_no_thread():
    def part(columns, pinned=False):
        if columns == 2:
            raise ValueError("torn")
        return columns

    coming = ahead(part, range(9))
    assert [next(coming), next(coming)] == [0, 1]
    with pytest.raises(ValueError, match="torn"):
        next(coming)
    ahead(part, range(9)).close()
    coming = ahead(part, iter(range(3, 9)))
    next(coming)
    coming.close()
    assert not any(thread.name.startswith("bench-batches") for thread in threading.enumerate())


def test_only_several_batches_for_a_gpu_are_read_ahead(source, monkeypatch):
    assert feed_for(group(source), CUDA) is map
    monkeypatch.setattr(batches, "ITEMS_AT_ONCE", 7)
    assert feed_for(group(source), CUDA) is ahead
    assert feed_for(group(source), CPU) is map


def test_an_adaptation_reads_what_was_read_ahead(source, small_batches, monkeypatch):
    given, devices = group(source), DeviceOptions(accelerator="cpu")
    expected = adapt_and_answer(given, devices).scores
    calls = []

    def unpinned(part, columns):
        return ahead(lambda each, pinned: calls.append(pinned) or part(each), columns)

    monkeypatch.setattr("bench.engine.stage_trainers.feed_for", lambda group, device: unpinned)
    assert torch.equal(adapt_and_answer(given, devices).scores, expected)
    assert calls == [True] * 6


def test_classes_that_batches_share_are_moved_once(source, small_batches):
    given, meta = group(source), torch.device("meta")
    module = ForwardAdaptation(given.run.make_method(source.backbone, given.problem_shape()))
    one, two, *_ = (module.transfer_batch_to_device(batch, meta, 0) for batch in given.support_batches())
    assert one.classes is two.classes
    assert one.classes.class_embeddings.device == one.keys.device == two.keys.device == meta
