"""Items and classes of a task's data, counted for ``bench show NAME --count``."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bench import registry
from bench.contracts import Pool
from bench.contracts.kinds import CLASSIFICATION
from bench.toolkit.counted import counted
from bench.toolkit.visible import visible

SHOWN = 10
"""Number of class names that a line has."""


def data_facts(name: str, data: Path | None) -> Iterator[tuple[str, str]]:
    """Read the data of a task, and count its items.

    Args:
        name: Name of the task, with its argument.
        data: Folder of local copies; None for the task's own source, which may be downloaded.

    Yields:
        ``counted`` and, of a task with classes, ``classes``, in words; and ``notes``, where there are any.

    Raises:
        DataError: If the data cannot be read.
        UsageError: For an unknown task, and for an argument that is unknown or missing.
    """
    task = registry.make_task(name)
    found = task.load(data)
    ways = len(found.classes) if task.kind in CLASSIFICATION else 0
    yield "counted", f"{name}: {_pool('support', found.support, ways)}, {_pool('query', found.query, ways)}"
    if ways:
        yield "classes", f"{ways:,}: {_some(found.classes)}"
    if found.notes:
        yield "notes", visible("; ".join(found.notes))


def _pool(split: str, pool: Pool, ways: int) -> str:
    """A pool in words, with the sizes of its smallest and its largest class."""
    whole = counted(len(pool.labels), f"{split} item")
    if not ways:
        return whole
    sizes = np.bincount(pool.labels, minlength=ways)
    low, high = int(sizes.min()), int(sizes.max())
    return f"{whole} ({f'{low:,}' if low == high else f'{low:,} to {high:,}'} of each class)"


def _some(names: Sequence[str]) -> str:
    """The first names of classes, as a reader sees them."""
    return visible(", ".join(name.strip() for name in names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
