"""Leaving one out in closed form against fitting the others one by one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.toolkit.least_squares import Spectrum
from bench.toolkit.leave_one_out import LeftOut

CUTS = [0.0, 0.05, 0.3, 0.7]


def pairs(seed: int, n_items: int, dim: int, fall: float = 2.0) -> tuple[Tensor, Tensor]:
    """Keys of two episodes, whose singular values fall, and values; float64."""
    rng = torch.Generator().manual_seed(seed)
    scale = torch.logspace(0, -fall, dim, dtype=torch.float64)
    keys = torch.randn(2, n_items, dim, generator=rng, dtype=torch.float64) * scale
    return keys, torch.randn(2, n_items, 3, generator=rng, dtype=torch.float64)


def left_out(keys: Tensor, values: Tensor) -> LeftOut:
    fewer = keys.shape[1] < keys.shape[2]
    spectrum = Spectrum.of_rows(keys) if fewer else Spectrum.of_gram(keys.mT @ keys)
    return LeftOut.of(spectrum, keys.mT @ values, keys, values)


def one_by_one(keys: Tensor, values: Tensor, rtol: float) -> Tensor:
    """What the pseudo-inverse of the others answers within the directions that all keys keep; of one episode."""
    _, singular, directions = torch.linalg.svd(keys, full_matrices=False)
    along = keys @ directions[singular > rtol * singular[0]].T
    answers = []
    for item in range(len(keys)):
        others = torch.arange(len(keys)) != item
        answers.append(along[item] @ torch.linalg.pinv(along[others], rtol=1e-10) @ values[others])
    return torch.stack(answers)


@pytest.mark.parametrize("rtol", CUTS)
@pytest.mark.parametrize(("n_items", "dim"), [(12, 30), (40, 10), (10, 10), (11, 10)])
def test_fast_weights_equal_brute_force(n_items: int, dim: int, rtol: float) -> None:
    keys, values = pairs(n_items, n_items, dim)
    found = left_out(keys, values).cut_off(torch.full((2,), rtol, dtype=torch.float64))
    expected = torch.stack([one_by_one(*episode, rtol) for episode in zip(keys, values, strict=True)])
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("n_items", "dim"), [(12, 30), (40, 10)])
def test_where_nothing_is_cut_off_the_others_are_simply_fitted_anew(n_items: int, dim: int) -> None:
    keys, values = pairs(3, n_items, dim)
    found = left_out(keys, values).cut_off(torch.zeros(2, dtype=torch.float64))
    for item in range(n_items):
        others = torch.arange(n_items) != item
        fitted = torch.linalg.pinv(keys[:, others]) @ values[:, others]
        torch.testing.assert_close(found[:, item], (keys[:, item, None] @ fitted)[:, 0], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("strength", [1e-6, 1e-2, 1.0, 1e4])
@pytest.mark.parametrize(("n_items", "dim"), [(12, 30), (40, 10)])
def test_ridge_equals_brute_force(n_items: int, dim: int, strength: float) -> None:
    keys, values = pairs(5, n_items, dim, fall=1.0)
    found = left_out(keys, values).ridge(torch.full((2,), strength, dtype=torch.float64))
    for item in range(n_items):
        others = torch.arange(n_items) != item
        penalised = keys[:, others].mT @ keys[:, others] + strength * torch.eye(dim, dtype=torch.float64)
        fitted = torch.linalg.solve(penalised, keys[:, others].mT @ values[:, others])
        torch.testing.assert_close(found[:, item], (keys[:, item, None] @ fitted)[:, 0], rtol=1e-8, atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n_items=st.integers(2, 20), dim=st.integers(2, 20), cut=st.sampled_from(CUTS))
def test_an_item_s_own_value_never_counts(seed: int, n_items: int, dim: int, cut: float) -> None:
    """Also where repeated keys and keys of 0 leave directions that hardly any other item has."""
    keys, values = pairs(seed, n_items, dim)
    keys[:, -1] = keys[:, 0] if seed % 2 else 0.0
    other = values.clone()
    other[:, 0] += 1.0
    rtol, strength = (torch.full((2,), number, dtype=torch.float64) for number in (cut, 0.1))
    before, after = left_out(keys, values), left_out(keys, other)
    torch.testing.assert_close(before.cut_off(rtol)[:, 0], after.cut_off(rtol)[:, 0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(before.ridge(strength)[:, 0], after.ridge(strength)[:, 0], rtol=1e-8, atol=1e-8)
