"""``python -m bench.testing GROUP NAME [DATA]``: the contract suite of one plugin, in a process of its own."""

import os
import sys
from pathlib import Path
from typing import cast

import pytest

from bench import own_packages, registry
from bench.contracts import LanguageBackbone, UsageError

SUITES: dict[registry.Group, str] = {
    "methods": "TestMethod", "tasks": "TestTask", "backbones": "TestBackbone", "metrics": "TestMetric"
}  # fmt: skip
"""Classes of ``bench.testing.named_plugin``, which pytest imports itself, so that it rewrites their assertions."""


def suite_of(group: registry.Group, name: str) -> str:
    """Name of the class that tests a plugin.

    Args:
        group: Kind of plugin.
        name: Its name, with its argument if it takes one.

    Returns:
        Name of a class of ``bench.testing.named_plugin``.

    Raises:
        UsageError: If the plugin cannot be imported, or its argument is unknown, missing or superfluous.
    """
    if group == "tasks":
        registry.task_argument(name)
    if group == "backbones":
        registry.backbone_argument(name)
        if issubclass(registry.backbone_class(name), LanguageBackbone):
            return "TestLanguageBackbone"
    return SUITES[group]


def main(group: registry.Group, name: str, data: str | None = None) -> int:
    """Run the suite; settings of pytest in the current folder do not apply.

    Args:
        group: Kind of plugin.
        name: Its name, with its argument if it takes one.
        data: Folder of local data, for a task.

    Returns:
        pytest's exit code.
    """
    module = Path(__file__).with_name("named_plugin.py")
    words = ["-q", "-p", "no:cacheprovider", "-p", "bench.testing.named_plugin", "-c", os.devnull, "-W", "ignore"]
    words += ["--rootdir", str(module.parent), "--plugin", name]
    if data is not None:
        words += ["--plugin-data", data]
    return pytest.main([*words, f"{module}::{suite_of(group, name)}"])


if __name__ == "__main__":
    own_packages.put_first()
    try:
        sys.exit(main(cast(registry.Group, sys.argv[1]), *sys.argv[2:]))
    except UsageError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
