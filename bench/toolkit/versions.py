"""Versions that determine values: of the harness's protocol and of numerical libraries."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

PROTOCOL = 3
"""Version of the harness as far as it determines values: a part of every record's identity and feature cache's key.

Raise it by 1 in the same commit as a change of the harness or the toolkit that changes the score of any run: how
episodes are drawn, items are encoded, methods are adapted, answers are scored. ``tests/test_golden_scores.py`` fails
where scores change and this number does not. The code of plugins is no reason to raise it: each has a hash of its own.
1 stands for records of the first edition, whose identities name no protocol.
"""
LIBRARIES = (
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "timm",
    "transformers",
    "tokenizers",
    "open_clip_torch",
    "peft",
    "faiss-cpu",
    "sacrebleu",
    "lightning",
)
"""Libraries whose version can change a value: numpy draws episodes, Pillow decodes and resizes images."""


def library_versions(names: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Versions of installed libraries.

    Args:
        names: Names of distributions.

    Returns:
        Versions by name; libraries that are not installed are left out.
    """
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
