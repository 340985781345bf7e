"""Counted operations against textbook counts."""

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from bench.meters.flops import FORMULAS, FlopMeter
from methods._fast_weights import FastWeights

A = torch.randn(2, 40, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
S = A @ A.mT + torch.eye(40)
TALL = A[:, :, :10]


def counted(run):
    with FlopMeter() as meter:
        run()
    return meter.total


@pytest.mark.parametrize(
    ("run", "flops"),
    [
        (lambda: A @ A, 2 * 2 * 40**3),
        (lambda: torch.linalg.cholesky_ex(S), 2 * 40**3 // 3),
        (lambda: torch.linalg.cholesky(S), 2 * 40**3 // 3),
        (lambda: torch.linalg.eigh(S), 2 * 9 * 40**3),
        (lambda: torch.linalg.svd(TALL, full_matrices=False), 2 * (6 * 40 * 10**2 + 20 * 10**3)),
        (lambda: torch.linalg.solve_triangular(S, A, upper=False), 2 * 40**3),
        (lambda: torch.linalg.solve(S, A), 2 * 2 * 40**3 // 3 + 2 * 2 * 40**3),
        (lambda: torch.linalg.inv(S), 2 * 2 * 40**3),
        (lambda: torch.cholesky_solve(A, S), 2 * 2 * 40**3),
    ],
)
@pytest.mark.parametrize("inference", [False, True])
def test_factorisations_are_counted_like_products(run, flops, inference):
    with torch.inference_mode(inference):
        assert counted(run) == flops


def test_a_pseudo_inverse_is_not_free():
    assert counted(lambda: torch.linalg.pinv(TALL.clone())) > 2 * 6 * 40 * 10**2


def attention(queries, keys):
    """One pass and its gradients, with this many heads of queries and of keys."""
    query, key, value = (
        torch.randn(2, heads, 12, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
        for heads in (queries, keys, keys)
    )
    scaled_dot_product_attention(query, key, value, enable_gqa=queries != keys).sum().backward()


def test_attention_counts_as_torch_counts_it_and_each_head_of_grouped_queries():
    with FlopCounterMode(display=False) as torchs:
        attention(6, 6)
    assert counted(lambda: attention(6, 6)) == torchs.get_total_flops() == 7 * 2 * 2 * 6 * 12 * 12 * 8
    assert counted(lambda: attention(6, 2)) == torchs.get_total_flops()


@pytest.mark.parametrize("kind", ["flash", "efficient", "cudnn"])
def test_kernels_of_gpus_count_grouped_queries(kind):
    query, key = torch.Size([2, 6, 12, 8]), torch.Size([2, 2, 20, 8])
    formula = FORMULAS[getattr(torch.ops.aten, f"_scaled_dot_product_{kind}_attention")]
    assert formula(query, key, key) == 2 * 2 * 2 * 6 * 12 * 20 * 8


def test_backward_passes_count():
    weight = torch.randn(30, 20, requires_grad=True)
    rows = torch.randn(50, 20)
    assert counted(lambda: (rows @ weight.mT).sum().backward()) == 2 * (2 * 50 * 30 * 20)


def test_a_closed_form_counts_its_solve():
    keys, values = torch.randn(1, 20, 64), torch.randn(1, 20, 5)

    def solve():
        memory = FastWeights(1, 64, 5, n_items=20)
        memory.observe(keys, values, torch.ones(1, 20, dtype=torch.bool))
        memory.solve()

    gram = 2 * 20 * 20 * 64
    assert counted(solve) > gram + 20**3 // 3


@pytest.mark.parametrize("shape", [(64,), (3, 64), (2, 3, 64), (0, 64)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_composite_operation_counts_as_its_parts(shape, bias):
    layer, rows = nn.Linear(64, 10, bias), torch.randn(shape)

    def run():
        return layer(rows).reshape(-1).double()

    with torch.inference_mode():
        whole = counted(run)
    assert whole == 2 * rows.numel() * 10
    if rows.dim() > 1:  # torch's formulas have no product with a single vector
        assert whole == counted(run)  # with gradients each part is dispatched


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_a_network_counts_as_much_as_by_torch_s_own_counter(inference, training):
    network = nn.Sequential(
        nn.Conv1d(8, 16, 3), nn.Flatten(), nn.Linear(16 * 6, 24), nn.Unflatten(1, (3, 8)),
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
    ).train(training)  # fmt: skip
    rows = torch.randn(5, 8, 8)

    def run():
        with torch.inference_mode(inference):
            answer = network(rows).sum()
        if not inference:
            answer.backward()

    with FlopCounterMode(display=False) as theirs:
        run()
    assert counted(run) == theirs.get_total_flops() > 0
