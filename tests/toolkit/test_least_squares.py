"""Solvers against torch's own pseudo-inverse in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.toolkit.gram_factors import whitening
from bench.toolkit.least_squares import KeySums, Spectrum, dual_weights, primal_weights

ALPHAS = st.floats(0.0, 4.0)


def keys_of(seed: int, n_items: int, dim: int, fall: float) -> Tensor:
    """Keys of three episodes whose singular values fall by ``10 ** -fall``, so that some are cut off and some not."""
    rng = torch.Generator().manual_seed(seed)
    keys = torch.randn(3, n_items, dim, generator=rng, dtype=torch.float64)
    left, singular, right = torch.linalg.svd(keys, full_matrices=False)
    steps = torch.stack([torch.logspace(0, -fall * episode / 2, singular.shape[1]).double() for episode in range(3)])
    return left * steps.unsqueeze(-2) @ right


def reference(keys: Tensor, values: Tensor, rtol: Tensor) -> Tensor:
    inverse: Tensor = torch.linalg.pinv(keys, atol=torch.zeros_like(rtol), rtol=rtol)
    return values.mT @ inverse.mT


def clear_of(keys: Tensor, rtol: Tensor) -> bool:
    """Whether no singular value stands so near to the cut-off that rounding decides."""
    singular = torch.linalg.svdvals(keys)
    share = singular / singular[:, :1] / rtol.unsqueeze(-1)
    return bool(((share - 1).abs() > 1e-3).all())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), alpha=ALPHAS, fall=st.floats(0.0, 4.0), more_items=st.booleans())
def test_maps_are_those_of_a_pseudo_inverse_with_the_same_cut_off(
    seed: int, alpha: float, fall: float, more_items: bool
) -> None:
    n_items, dim = (30, 12) if more_items else (12, 30)
    keys = keys_of(seed, n_items, dim, fall)
    values = torch.randn(3, n_items, 5, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    rtol = torch.full((3,), max(float(n_items) ** -alpha, 1e-5), dtype=torch.float64)
    if not clear_of(keys, rtol):
        return
    expected = reference(keys, values, rtol)
    scale = expected.norm(dim=(-2, -1), keepdim=True)
    found = primal_weights(keys.mT @ keys, keys.mT @ values, rtol) if more_items else dual_weights(keys, values, rtol)
    assert ((found - expected).abs() / scale).max() < 1e-6


@pytest.mark.parametrize("shape", [(40, 16), (10, 16)])
def test_one_spectrum_serves_every_cut_off(shape: tuple[int, int]) -> None:
    keys = keys_of(3, *shape, fall=3.0)
    values = torch.randn(3, shape[0], 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    rtol = torch.tensor([[0.47], [0.13], [0.017], [1e-4]], dtype=torch.float64).expand(-1, 3)
    spectrum = Spectrum.of_gram(keys.mT @ keys) if shape[0] > shape[1] else Spectrum.of_rows(keys)
    found = spectrum.weights(keys.mT @ values, rtol)
    for each, cut in zip(found, rtol, strict=True):
        assert clear_of(keys, cut)
        torch.testing.assert_close(each, reference(keys, values, cut), rtol=1e-6, atol=1e-6)


def test_whitening_mixes_episodes_with_and_without_directions_to_drop() -> None:
    whole, low_rank = torch.eye(6, dtype=torch.float64), torch.zeros(6, 6, dtype=torch.float64)
    low_rank[:2, :2] = torch.eye(2)
    empty = torch.zeros_like(whole)
    gram = torch.stack([whole, low_rank, empty])
    found = whitening(gram, torch.full((3,), 0.1, dtype=torch.float64))
    torch.testing.assert_close(found.mT @ found, torch.linalg.pinv(gram))
    assert whitening(gram[1:], torch.full((2,), 0.1, dtype=torch.float64)).shape == (2, 2, 6)


def test_sums_do_not_depend_on_the_batches() -> None:
    keys = torch.randn(2, 2500, 7, generator=torch.Generator().manual_seed(0))
    values = torch.randn(2, 2500, 3, generator=torch.Generator().manual_seed(1))
    sums = KeySums()
    assert not sums
    with pytest.raises(ValueError, match="no pairs"):
        _ = sums.gram
    for start in range(0, 2500, 900):
        sums.add(keys[:, start : start + 900], values[:, start : start + 900])
    torch.testing.assert_close(sums.gram, keys.double().mT @ keys.double())
    torch.testing.assert_close(sums.cross, keys.double().mT @ values.double())
