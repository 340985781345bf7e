"""Support sets of very many items and classes: what is computed in blocks, by class or on minibatches is the same."""

from typing import Any

import pytest
import torch

from bench.testing.driver import adapted
from bench.testing.problems import Problem, problem
from methods import _block_pairs, _held_out, _minibatches, _moments, linear_probe, softmax_memory, tip_adapter_f
from methods._folds import MOST_FOLDS
from methods._held_out import Sample, StreamedSample
from methods._pairs import Filled
from methods.faast import Faast
from methods.gda import Gda
from methods.knn import Knn
from methods.linear_probe import LinearProbe
from methods.linear_projection import LinearProjection
from methods.lp_plus_plus import LpPlusPlus
from methods.nearest_mean import NearestMean
from methods.ridge import Ridge
from methods.softmax_memory import SoftmaxMemory
from methods.tip_adapter import TipAdapter
from methods.tip_adapter_f import TipAdapterF


@pytest.fixture
def given() -> Problem:
    """Episodes of different sizes, one of them empty."""
    return problem(n_shot=15, sizes=[60, 37, 0], key_dim=12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "config"),
    [
        (Knn, {"k": 3}),
        (Knn, {"prior_strength": 0.0}),
        (SoftmaxMemory.features, {"scale": 10.0}),
        (TipAdapter, {}),
        (TipAdapter, {"prior": "none", "beta": 2.0}),
    ],
)
def test_pairs_that_are_read_in_blocks_give_the_same_answers(
    given: Problem, method: Any, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = adapted(method, given, **config)
    expected = at_once.predict(given.query)
    for module in (_block_pairs, softmax_memory):
        monkeypatch.setattr(module, "MANY", 0)
    monkeypatch.setattr(_block_pairs, "BLOCK", 7)
    monkeypatch.setattr(_block_pairs, "scores_at_once", lambda device: 5 * 7)
    in_blocks = adapted(method, given, **config)
    torch.testing.assert_close(in_blocks.predict(given.query), expected, rtol=1e-5, atol=1e-5)
    assert in_blocks.notes == at_once.notes
    assert in_blocks.state_bytes() <= at_once.state_bytes()


@pytest.mark.parametrize(
    ("method", "config"),
    [
        (Faast.features, {}),
        (Faast.features, {"alpha": "auto", "prior_strength": "auto"}),
        (Ridge.features, {}),
        (Gda, {}),
        (NearestMean, {"prior": "auto"}),
    ],
)
def test_sums_by_class_are_those_of_one_hot_labels(
    given: Problem, method: Any, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = adapted(method, given, **config).predict(given.query)
    monkeypatch.setattr(_moments, "MANY_CLASSES", 0)
    torch.testing.assert_close(adapted(method, given, **config).predict(given.query), expected, rtol=1e-5, atol=1e-5)


def test_fast_weights_of_class_values_are_those_of_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more classes than a value is wide, the memory holds values."""
    given = problem(n_way=9, n_shot=8, value_dim=5, key_dim=12)
    method = adapted(Faast.features, given)
    assert not method.stores_labels
    expected = method.predict(given.query)
    monkeypatch.setattr(_moments, "MANY_CLASSES", 0)
    torch.testing.assert_close(adapted(Faast.features, given).predict(given.query), expected, rtol=1e-5, atol=1e-5)


def test_a_streamed_sample_is_that_of_all_items_at_once(given: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_held_out, "MOST_ITEMS", 12)
    n_way = given.shape.n_way
    everything = Sample.of(given.support, 3)
    streamed = StreamedSample(n_way)
    for start in range(0, everything.mask.shape[1], 9):
        streamed.add(everything.part(slice(start, start + 9)))
    expected, found = everything.lowest(n_way), streamed.lowest()
    assert expected.mask[0].sum() == 12
    for one, other in zip(found.tensors(), expected.tensors(), strict=True):
        assert torch.equal(one[found.mask], other[expected.mask])


def test_minibatches_of_all_items_are_full_steps(given: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    for config in ({}, {"prior": "mix"}):
        expected = adapted(LinearProbe, given, steps=30, **config).predict(given.query)
        with monkeypatch.context() as patch:
            patch.setattr(linear_probe, "MANY", 0)
            streamed = adapted(LinearProbe, given, steps=30, **config)
        assert streamed.batch_size == linear_probe.MINIBATCH
        torch.testing.assert_close(streamed.predict(given.query)[:1], expected[:1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("variant", ["code", "paper"])
def test_lp_plus_plus_on_minibatches_of_all_items_takes_full_steps(
    given: Problem, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = adapted(LpPlusPlus, given, steps=30, variant=variant).predict(given.query)
    monkeypatch.setattr(_minibatches, "MANY", 0)
    streamed = adapted(LpPlusPlus, given, steps=30, variant=variant)
    assert streamed.batch_size is not None
    torch.testing.assert_close(streamed.predict(given.query)[:1], expected[:1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("method", "config"), [(LinearProjection.features, {}), (TipAdapterF, {}), (TipAdapterF, {"beta": 2.0})]
)
def test_a_stream_trains_on_what_is_not_held_out_and_keeps_no_more_than_it_may(
    method: Any, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = problem(n_shot=30, key_dim=12, n_episodes=2)
    n_way, whole = given.shape.n_way, adapted(method, given, epochs=4, **config)
    monkeypatch.setattr(_minibatches, "MANY", 0)
    monkeypatch.setattr(_held_out, "MOST_PER_CLASS", 2)
    monkeypatch.setattr(tip_adapter_f, "MOST_KEYS", 20)
    seen: list[Sample] = []
    without = method.without_held_out

    def noted(self: Any, items: Sample, parts: int, keep: bool) -> Sample:
        seen.append(without(self, items, parts, keep))
        return seen[-1]

    monkeypatch.setattr(method, "without_held_out", noted)
    streamed = adapted(method, given, epochs=4, **config)
    assert streamed.batch_size is not None
    held = streamed.held.lowest()
    assert 0 < held.mask.sum(dim=1).max() <= 2 * n_way
    trained = set(seen[0].draw[seen[0].mask].tolist())
    assert trained.isdisjoint(held.draw[held.mask].tolist())
    assert len(trained) < seen[0].mask.numel()
    if method is TipAdapterF:
        assert streamed.keys.shape[1] == 20
        assert streamed.mask.all()
        assert streamed.state_bytes() < whole.state_bytes()
    agreement = streamed.predict(given.query).argmax(-1) == whole.predict(given.query).argmax(-1)
    assert agreement.float().mean() > 0.8


def test_minibatches_choose_a_weight_of_the_prior_by_items_left_out(
    given: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_probe, "MANY", 0)
    method = adapted(LinearProbe, given, steps=30, prior="auto")
    assert method.inside.shape[0] == 3 * (1 + MOST_FOLDS)
    assert method.notes["chosen_prior_weight"] >= 0
    assert method.predict(given.query).isfinite().all()


def test_batches_fill_one_tensor() -> None:
    parts = torch.randn(2, 10, 3).split(4, dim=1)
    for expected in (10, 7):  # padding is more than was to come
        filled = Filled(expected)
        for part in parts:
            filled.add((part, part[..., 0]))
        whole, first = filled.tensors()
        assert torch.equal(whole, torch.cat(parts, dim=1))
        assert torch.equal(first, whole[..., 0])
    alone = Filled(4)
    alone.add((parts[0],))
    assert alone.tensors()[0].data_ptr() == parts[0].data_ptr()
