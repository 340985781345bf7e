"""Floating-point operations, by the formulas of torch's own counter, and those of factorisations, which it leaves out.

A closed form is a factorisation: a counter of matrix products alone would call it free. The counts are those of the
textbook algorithms (Golub and Van Loan, Matrix Computations, 4th edition), multiplications and additions both counted.
Element-wise work is not counted, nor is what leaves torch, such as FAISS's searches.
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
    """Tridiagonal form, and the vectors by implicit QR."""
    return prod(matrix[:-2]) * 9 * matrix[-1] ** 3


def _svd(matrix: Shape, *_: Any, **__: Any) -> int:
    """The thin decomposition by R-bidiagonalisation."""
    long, short = max(matrix[-2:]), min(matrix[-2:])
    return prod(matrix[:-2]) * (6 * long * short**2 + 20 * short**3)


def _pseudo_inverse(matrix: Shape, *_: Any, **__: Any) -> int:
    """A thin decomposition and a product of its factors."""
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


FACTORISATIONS: dict[Any, Callable[..., int]] = {
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
}


class FlopMeter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts between ``with`` and its end; ``total`` may be read meanwhile.

    Torch's own counter keeps track of modules and tries to take every operation apart, which slows a language model
    down by an eighth; this one does neither where it need not.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self._formulas = FlopCounterMode(display=False, custom_mapping=FACTORISATIONS).flop_registry

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and count it, or those that it is made of."""
        kwargs = kwargs or {}
        if not isinstance(func, OpOverload):
            return func(*args, **kwargs)
        formula = self._formulas.get(func.overloadpacket)
        if formula is None and _is_composite(func):
            with self:
                return func.decompose(*args, **kwargs)
        found = func(*args, **kwargs)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=found)
        return found


@cache
def _is_composite(operation: OpOverload) -> bool:
    """Whether it is made of other operations. In inference mode such ones come whole."""
    name = operation.name()  # type: ignore[no-untyped-call]
    return torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd")
