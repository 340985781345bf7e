"""Following a store that other processes fill."""

import time
import warnings
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import TYPE_CHECKING

from bench.api.selection import Selection
from bench.contracts.errors import BenchWarning, StoreError, UsageError
from bench.contracts.validation import validated
from bench.toolkit.files import user_path

if TYPE_CHECKING:
    from bench.results.record import Record


def watch(
    store: str | PathLike[str] = "runs", *, task: str | Sequence[str] = (), every: float = 2.0
) -> Iterator["Record"]:
    """Follow a store: each record that is written or replaced from now on, by any process, until the caller stops.

    Args:
        store: Folder of records; it need not be there yet.
        task: Only these tasks.
        every: Seconds between two looks at the folder.

    Yields:
        One record after another.

    Raises:
        UsageError: For a time that is not above 0.

    Example:
        >>> for record in bench.watch("runs"):  # doctest: +SKIP
        ...     print(record.spec.method, record.value)
    """
    from bench.results.index import stamps
    from bench.results.selection import chosen_tasks, is_of_tasks
    from bench.results.store import Store
    from bench.results.store_files import RECORD

    if not every > 0:
        raise UsageError(f"every needs a number of seconds above 0, got {every}")
    chosen = chosen_tasks(validated(Selection, {"task": task}, "watch").task)
    followed = Store(user_path(store))
    seen = stamps(followed.root, RECORD)
    while True:
        time.sleep(every)
        present = stamps(followed.root, RECORD)
        changed = [name for name, stamp in present.items() if seen.get(name) != stamp]
        seen = present
        for name in changed:
            try:
                record = followed.read(followed.root / name)
            except StoreError as error:
                warnings.warn(f"passed over: {error}", BenchWarning, stacklevel=2)
                continue
            if is_of_tasks(record, chosen):
                yield record
