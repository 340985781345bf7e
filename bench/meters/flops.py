"""Meter of floating-point operations: torch's own formulas, and formulas for what torch leaves out or refuses.

A closed-form fit is a factorisation, so that a counter of matrix products alone would report it as free. The counts
are those of the textbook algorithms (Golub and Van Loan, Matrix Computations, 4th edition), each multiplication and
each addition counted as one. Element-wise operations are not counted, nor is work outside torch, such as searches by
FAISS.
"""

from collections.abc import Callable, Sequence
from functools import cache
from math import prod
from typing import Any

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

aten = torch.ops.aten
Shape = Sequence[int]


def _cholesky(matrix: Shape, *_: Any, **__: Any) -> int:
    return prod(matrix[:-2]) * matrix[-1] ** 3 // 3


def _eigh(matrix: Shape, *_: Any, **__: Any) -> int:
    """Tridiagonal reduction, and eigenvectors by implicit QR."""
    return prod(matrix[:-2]) * 9 * matrix[-1] ** 3


def _svd(matrix: Shape, *_: Any, **__: Any) -> int:
    """Thin decomposition by R-bidiagonalisation."""
    long, short = max(matrix[-2:]), min(matrix[-2:])
    return prod(matrix[:-2]) * (6 * long * short**2 + 20 * short**3)


def _pseudo_inverse(matrix: Shape, *_: Any, **__: Any) -> int:
    """Thin decomposition and the product of its factors."""
    return _svd(matrix) + 2 * prod(matrix) * min(matrix[-2:])


def _triangular(matrix: Shape, right: Shape, *_: Any, **__: Any) -> int:
    return prod(right) * matrix[-1]


def _lu_solve(matrix: Shape, right: Shape, *_: Any, **__: Any) -> int:
    return prod(matrix[:-2]) * 2 * matrix[-1] ** 3 // 3 + 2 * prod(right) * matrix[-1]


def _inverse(matrix: Shape, *_: Any, **__: Any) -> int:
    return prod(matrix[:-2]) * 2 * matrix[-1] ** 3


def _cholesky_solve(right: Shape, factor: Shape, *_: Any, **__: Any) -> int:
    return 2 * prod(right) * factor[-1]


def _distances(first: Shape, second: Shape, *_: Any, **__: Any) -> int:
    return 3 * prod(first) * second[-2]


def _linear(rows: Shape, weight: Shape, *_: Any, **__: Any) -> int:
    return 2 * prod(rows) * prod(weight[:-1])


def _attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    """Scores and their product with the values. Of grouped queries each head counts; torch's formula refuses them."""
    return 2 * prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _attention_backward(_: Shape, query: Shape, key: Shape, value: Shape, *__: Any, **___: Any) -> int:
    """Scores again, and the gradients of scores, queries, keys and values."""
    return 2 * prod(query[:-1]) * key[-2] * (3 * query[-1] + 2 * value[-1])


_ATTENTION = ("flash_attention", "efficient_attention", "cudnn_attention", "flash_attention_for_cpu")
FORMULAS: dict[Any, Callable[..., int]] = {
    aten.linalg_cholesky_ex: _cholesky,
    aten._linalg_eigh: _eigh,
    aten._linalg_svd: _svd,
    aten.linalg_pinv: _pseudo_inverse,
    aten.linalg_solve_triangular: _triangular,
    aten.triangular_solve: lambda right, matrix, *_, **__: _triangular(matrix, right),
    aten._linalg_solve_ex: _lu_solve,
    aten.linalg_inv_ex: _inverse,
    aten.cholesky_solve: _cholesky_solve,
    aten._cdist_forward: _distances,
    aten.linear: _linear,
    aten.scaled_dot_product_attention: _attention,
    **{each: lambda *_, **__: 0 for each in (aten.reshape, aten.to, aten.contiguous)},
    **{getattr(aten, f"_scaled_dot_product_{kind}"): _attention for kind in _ATTENTION},
    **{getattr(aten, f"_scaled_dot_product_{kind}_backward"): _attention_backward for kind in _ATTENTION},
}
"""Formulas by operation: shapes of the arguments in, number of operations out.

Some are of composite operations whose parts would give the same number: taking a language model's apart took as long as
a sixth of its pass."""


class FlopMeter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Context manager that counts the floating-point operations of its block.

    Torch's own counter tracks modules and tries to decompose every operation, which makes a language model an eighth
    slower. This one tracks no modules and decomposes only composite operations without a formula.

    Attributes:
        total: Number of operations so far; it may be read inside the block.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self._formulas = FlopCounterMode(display=False, custom_mapping=FORMULAS).flop_registry

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operation and add its count, or the counts of its parts."""
        kwargs = kwargs or {}
        if not isinstance(func, OpOverload):
            return func(*args, **kwargs)
        formula = self._formulas.get(func.overloadpacket)
        if formula is None and _is_composite(func):
            with self:
                return func.decompose(*args, **kwargs)
        result = func(*args, **kwargs)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=result)
        return result


@cache
def _is_composite(operation: OpOverload) -> bool:
    """Whether an operation consists of others; inference mode dispatches such an operation undecomposed."""
    name = operation.name()  # type: ignore[no-untyped-call]
    return torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd")
