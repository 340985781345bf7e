"""Ridge maps from a Gram matrix and from rows: the formula itself, and what a penalty of almost nothing leaves."""

import pytest
import torch
from torch import Tensor

from bench.toolkit.ridge import ridge_of_gram, ridge_of_rows

DIM, WAY = 12, 3
SIZES = {"fewer items than dimensions": 7, "more items than dimensions": 30}


@pytest.fixture(params=SIZES.values(), ids=SIZES.keys())
def pairs(request: pytest.FixtureRequest) -> tuple[Tensor, Tensor]:
    """Keys and values of four episodes in which the last item is the first one again, with another value."""
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(4, request.param, DIM, generator=generator, dtype=torch.float64)
    keys[:, -1] = keys[:, 0]
    return keys, torch.randn(4, request.param, WAY, generator=generator, dtype=torch.float64)


def both(keys: Tensor, values: Tensor, lam: Tensor) -> tuple[Tensor, Tensor]:
    gram = keys.mT @ keys
    before = gram.clone()
    found = ridge_of_gram(gram, keys.mT @ values, lam)
    assert gram.equal(before)
    return found, ridge_of_rows(keys, values, lam)


def test_it_is_the_map_of_the_formula(pairs: tuple[Tensor, Tensor]) -> None:
    keys, values = pairs
    lam = torch.tensor([1e-4, 0.1, 1.0, 1e8], dtype=torch.float64)
    penalty = lam.view(-1, 1, 1) * torch.eye(DIM, dtype=torch.float64)
    expected = torch.linalg.solve(keys.mT @ keys + penalty, keys.mT @ values)
    for found in both(keys, values, lam):
        # Episode by episode, as a large penalty leaves little of a map.
        error = torch.linalg.matrix_norm(found - expected) / torch.linalg.matrix_norm(expected)
        assert error.max() < 1e-9


def test_a_penalty_lost_in_rounding_gives_least_squares_beside_episodes_with_another(
    pairs: tuple[Tensor, Tensor],
) -> None:
    """Without one, keys that are dependent have a matrix of almost 0 in some direction, and no Cholesky factor."""
    keys, values = pairs
    keys[3] = 0.0
    lam = torch.tensor([1e-300, 1e-20, 1.0, 1e-300], dtype=torch.float64)
    expected = torch.linalg.pinv(keys, rtol=1e-7) @ values
    for found in both(keys, values, lam):
        torch.testing.assert_close(found[:2], expected[:2], rtol=1e-7, atol=1e-9)
        assert found[3].eq(0.0).all()
        torch.testing.assert_close(found[2:3], both(keys[2:3], values[2:3], lam[2:3])[0], rtol=1e-9, atol=0.0)
