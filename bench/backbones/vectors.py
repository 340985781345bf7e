"""The vectors of a task themselves as features, with no model: embeddings of any program (task ``vectors``)."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.contracts import DataError, EncoderBackbone, Features, Kind, features_of


class Vectors(EncoderBackbone):
    """Identity: keys are the vectors at unit length."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.VECTOR_CLASSIFICATION})
    citation = "no weights; the vectors are the user's own"

    @property
    def fingerprint(self) -> str:
        """The computation, as there are no weights."""
        return "vectors at unit length, version 1"

    def prepare(self, raw: Any) -> Tensor:
        """One vector as ``[dim]`` in float32.

        Args:
            raw: A list or an array of numbers.

        Returns:
            The vector.

        Raises:
            DataError: If it is no vector of finite numbers, or has no direction.
        """
        try:
            vector = np.array(raw, dtype=np.float32)
        except (TypeError, ValueError):
            raise DataError(f"vectors needs a list of numbers, got {type(raw).__name__}") from None
        if vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any():
            raise DataError(
                f"vectors needs a row of finite numbers that are not all 0, got one of shape {vector.shape}"
            )
        return torch.from_numpy(vector)

    def collate(self, prepared: Sequence[Tensor]) -> Tensor:
        """``[item, dim]``."""
        return torch.stack(list(prepared))

    def encode(self, batch: Tensor) -> Features:
        """Keys of unit length, and no prior."""
        # Divided by the largest entry first: squares of numbers near the limits of float32 are infinite or 0.
        return features_of(batch.float() / batch.float().abs().amax(dim=-1, keepdim=True))


PLUGIN = Vectors
