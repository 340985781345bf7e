"""Error of a lower precision: a few inputs through the backbone in float32 and in the precision of some runs."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.nn.functional import cosine_similarity

from bench.contracts import Backbone, LanguageBackbone, Pool
from bench.engine.encoding import encode
from bench.engine.running import running
from bench.engine.trainer import DeviceOptions

FULL = "32-true"
LOWER = frozenset({"bf16-true", "16-true", "bf16-mixed", "16-mixed"})
"""Precisions with an error that is worth showing."""
SAMPLE = 16
"""Most inputs that are compared."""
ANSWERS = 4
"""Most answers of an input that are compared."""
WINDOW = 256
"""Tokens of a window in which texts without answers are scored."""


def precision_error(backbone: Backbone, pool: Pool, names: Sequence[str], devices: DeviceOptions) -> str:
    """How far answers or features are from those in float32. The backbone stays in the lower precision.

    Args:
        backbone: The backbone, in float32.
        pool: A few items.
        names: Answers of a choice; empty where texts are written or scored as a whole.
        devices: Device and precision.

    Returns:
        One line.
    """
    both = (devices.with_precision(FULL), devices)
    if not isinstance(backbone, LanguageBackbone):
        positions = np.arange(len(pool.labels))
        keys = []
        for each in both:
            features = encode(backbone, pool, positions, each).features
            if features is None:
                return ""
            keys.append(features.keys.double())
        least = float(cosine_similarity(keys[0], keys[1], dim=-1).min())
        return f"features of {len(keys[0])} items differ from those in float32 by 1 - cosine = {1 - least:.1e} at most"
    texts = list(pool.inputs["input"])
    if names:
        what = "log-probabilities of answers to"

        def read() -> Tensor:
            return backbone.loglikelihood("", texts, names[:ANSWERS])
    else:
        what = "log-probabilities per token of"

        def read() -> Tensor:
            sums, tokens = backbone.loglikelihood_rolling(texts, WINDOW, None).unbind(dim=1)
            return sums / tokens.clamp(min=1)

    answers = []
    for each in both:
        with running(backbone, each):
            answers.append(read().double())
    full, lower = answers
    found = (lower - full).abs()
    return (
        f"{what} {len(texts)} prompts differ from those in float32 by {found.max():.2g} nats at most, "
        f"{found.median():.2g} in the median"
    )
