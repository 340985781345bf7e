"""What a process without query labels gets of some episodes."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from bench import registry
from bench.contracts import DataError, Features, InputMode
from bench.data.batches import EpisodeSource
from bench.data.episodes import EpisodeSpec, draw_episodes
from bench.data.feature_cache import FeatureCache
from bench.data.features import FeatureTable
from bench.data.payload import payload_of
from bench.testing.doubles import CosineBackbone

CLASSES = ("chantarelle", "toadstool", "porcino")


@pytest.fixture
def source(tmp_path):
    """Image files in folders named by their classes, as a user has them."""
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (tmp_path / "image_folder" / name).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "image_folder" / name / f"{number}.png")
    data = registry.make_task("image_folder").load(tmp_path)
    backbone = CosineBackbone()
    tables = [
        FeatureTable(split, np.full(len(pool.labels), -1))
        for split, pool in (("support", data.support), ("query", data.query))
    ]
    return EpisodeSource(data, backbone, backbone.class_embeddings(data.classes, ["{label}"]), *tables)


def test_no_name_and_no_place_of_a_query_gives_its_class_away(source):
    episodes = draw_episodes(source.data, EpisodeSpec("image_folder", 0, 4, 2, 5, None))
    payload = payload_of(source, episodes)
    # The pool is sorted by class, the numbers in the payload are not.
    assert (np.diff(source.data.query.labels) >= 0).all()
    order = episodes.query_labels[0][np.argsort(payload.episodes.query[0])]
    assert (np.diff(order) < 0).any()
    assert payload.episodes.query.max() == len(payload.data.query.labels) - 1
    content = pickle.dumps(payload.data.query)
    assert not any(f"/{name}/".encode() in content for name in CLASSES)
    assert any(f"/{name}/".encode() in pickle.dumps(source.data.query) for name in CLASSES)


def test_items_are_those_of_the_episodes(source):
    episodes = draw_episodes(source.data, EpisodeSpec("image_folder", 0, 4, 2, 5, None))
    payload = pickle.loads(pickle.dumps(payload_of(source, episodes)))
    # Methods draw what they hold out by the place of a support item in its pool, whatever else is sent.
    assert np.array_equal(payload.episodes.support, episodes.support)
    rows = payload.support_rows[payload.episodes.support]
    for found, expected, numbers, positions in (
        (payload.data.query.inputs, source.data.query.inputs, payload.episodes.query, episodes.query),
        (payload.data.support.inputs, source.data.support.inputs, rows, episodes.support),
    ):
        for number, position in zip(numbers.ravel().tolist(), positions.ravel().tolist(), strict=True):
            assert np.array_equal(found[number]["input"], expected[position]["input"])


def test_methods_on_features_get_no_raw_inputs_and_large_support_sets_by_the_names_of_files(
    source, tmp_path, monkeypatch
):
    episodes = draw_episodes(source.data, EpisodeSpec("image_folder", 0, 1, None, 5, None))
    for table in (source.support, source.query):
        cache = FeatureCache(tmp_path, {"split": table.split})
        keys = torch.randn(len(table.row), 8)
        table.add(np.arange(len(keys)), Features(keys, keys))
        table.stored(cache.save(np.arange(len(keys)), table.last()))
    few = payload_of(source, episodes, InputMode.FEATURES)
    monkeypatch.setattr("bench.data.payload.SENT", 0)
    many = payload_of(source, episodes, InputMode.FEATURES)
    assert (few.support.mapped, many.support.mapped, many.query.mapped) == (False, True, False)
    assert many.data.query.inputs is few.data.query.inputs  # one for all payloads of this size
    for payload in (few, pickle.loads(pickle.dumps(many))):
        assert torch.equal(
            payload.support.gather(payload.episodes.support)[0], source.support.gather(episodes.support)[0]
        )
        for pool in (payload.data.support, payload.data.query):
            with pytest.raises(DataError, match="gets no raw inputs"):
                pool.inputs[0]
