"""Recall of random vectors with arbitrary labels, ``recall:N`` for N pairs: what a memory holds, without a model."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset
from scipy.special import ndtr

from bench.contracts import Kind, Pool, Protocol, Task, TaskData, UsageError
from bench.toolkit.files import text_hash

DIM = 64
"""Width of a vector."""
WAYS = 16
"""Classes of an episode."""
NOISE = 0.1
"""Length of what is added to a stored vector, of length 1, to make a query."""
QUERIES = 20
"""Queries of each class."""
MOST_GROUPS, MOST_POOLED = 10, 5120
"""Most disjoint groups of 16 classes in the pool, and most vectors in it where one group has fewer."""
MOST_PAIRS = 2**20
SEED = 0


class Recall(Task):
    """Sixteen classes of random unit vectors of 64 numbers; a query is a stored vector with a little noise.

    Vectors are uniform on the sphere and labels mean nothing, so that nothing can be answered but from memory. Of
    ``recall:N`` each class has N / 16 vectors: a run with N / 16 shots stores them all, and with fewer shots most
    queries are of vectors that were never stored. Episodes draw their 16 classes from up to 10 groups of them. The
    backbone is ``vectors``, which passes keys on as they are.

    ``notes`` have the accuracy that a Hebbian sum without decay is expected to have, see ``hebbian_accuracy``.
    """

    kind = Kind.VECTOR_CLASSIFICATION
    prior_strength = 0.0
    protocol = Protocol(episodes=20, queries=QUERIES, ways=WAYS)
    size = (
        "recall:N has N / 16 support and 20 query vectors of each class, in 1 to 10 groups of 16 classes: recall:256 "
        "has 2,560 and 3,200 of 160 classes"
    )
    citation = "made up; Ba et al. 2016, Using Fast Weights to Attend to the Recent Past, arXiv 1610.06258"

    def __init__(self, pairs: str = "256") -> None:
        """Choose the number of pairs of an episode.

        Args:
            pairs: A multiple of 16 in digits, up to 1,048,576.

        Raises:
            UsageError: For anything else.
        """
        number = int(pairs) if pairs.isdecimal() and len(pairs) < 9 else 0
        if number % WAYS or not WAYS <= number <= MOST_PAIRS:
            raise UsageError(
                f"recall needs a multiple of {WAYS} pairs up to {MOST_PAIRS:,}, such as recall:256, got {pairs!r}"
            )
        self.pairs = number

    def load(self, data: Path | None) -> TaskData:
        """Draw the vectors.

        Args:
            data: Unused; the vectors are made up.

        Returns:
            Stored vectors, and queries near them.
        """
        each = self.pairs // WAYS
        n_classes = WAYS * max(1, min(MOST_GROUPS, MOST_POOLED // self.pairs))
        generator = np.random.default_rng([SEED, self.pairs])
        stored = generator.standard_normal((n_classes, each, DIM))
        stored /= np.linalg.norm(stored, axis=-1, keepdims=True)
        # Of large classes the first vectors are as good as any: all were drawn alike.
        chosen = np.arange(QUERIES) % each
        near = stored[:, chosen] + NOISE / DIM**0.5 * generator.standard_normal((n_classes, QUERIES, DIM))
        support, query = (vectors.reshape(-1, DIM).astype(np.float32) for vectors in (stored, near))
        expected = hebbian_accuracy(self.pairs, DIM, WAYS, NOISE)
        return TaskData(
            _pool(support, each),
            _pool(query, QUERIES),
            tuple(f"class {number}" for number in range(n_classes)),
            text_hash(support.tobytes().hex(), query.tobytes().hex()),
            (
                f"with {each} shots all {self.pairs} pairs of an episode are stored; a Hebbian sum without decay is "
                f"expected to recall {expected:.1%}, chance is {1 / WAYS:.1%}",
            ),
        )


def _pool(vectors: np.ndarray, each: int) -> Pool:
    """``[class x each, dim]`` vectors by class."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    labels = np.repeat(np.arange(len(vectors) // each), each)
    return Pool(Dataset(pa.table({"input": column})).with_format("numpy"), labels)


def hebbian_accuracy(pairs: int, dim: int, ways: int, noise: float = 0.0) -> float:
    """Expected accuracy of ``M = sum v k^T`` with one-hot values, read at a stored key: its capacity law.

    The score of the right class is 1 plus the products of the query with the other keys of its class, and that of each
    other class the sum of such products. A product of two random unit vectors has variance 1 / dim, and the sums are
    nearly normal: ``integral phi(u) Phi((1 + s0 u) / s1)^(ways - 1) du`` with ``s0^2 = (pairs / ways - 1) / dim`` and
    ``s1^2 = pairs / ways / dim`` (derived here; the memory is that of arXiv 1610.06258 without decay).

    Args:
        pairs: Number of stored pairs, as many of each class.
        dim: Width of the keys, which are uniform on the sphere.
        ways: Number of classes.
        noise: Standard length of what is added to a stored key to make the query.

    Returns:
        The share of right answers, from 0 to 1.
    """
    each, scale = pairs / ways, 1 + noise**2
    own, other = ((each - 1) * scale + noise**2) / dim, each * scale / dim
    # For the weight exp(-u^2 / 2); its sum is sqrt(2 pi).
    points, weights = np.polynomial.hermite_e.hermegauss(100)
    right = ndtr((1 + own**0.5 * points) / other**0.5) ** (ways - 1)
    return float(weights @ right / weights.sum())


PLUGIN = Recall
