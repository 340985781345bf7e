"""Selection of records by task, and of whole runs."""

import warnings
from collections.abc import Collection, Iterable

from bench.contracts.errors import BenchWarning, UsageError, did_you_mean
from bench.results.record import Record
from bench.results.run_texts import form_text, task_text
from bench.spec.aliases import TASK_ALIASES


def of_tasks(records: Iterable[Record], names: Iterable[str]) -> list[Record]:
    """The records of some tasks.

    Args:
        records: Records of any tasks.
        names: Tasks with or without prompt style and template in brackets, or names of the first edition; none for all.

    Returns:
        The chosen records, in order.

    Raises:
        UsageError: For a task without records, with the closest name that has some.
    """
    found, chosen = list(records), chosen_tasks(names)
    if not chosen:
        return found
    known = {name for record in found for name in (record.spec.task, task_text(record.spec))}
    for name in sorted(chosen - known):
        raise did_you_mean("task", name, known, "in the store")
    return [record for record in found if is_of_tasks(record, chosen)]


def chosen_tasks(names: Iterable[str]) -> set[str]:
    """Present names of tasks, as in tables.

    Args:
        names: Tasks with or without prompt style and template in brackets, or names of the first edition.

    Returns:
        The names.
    """
    return {form_text(*TASK_ALIASES.get(name, (name, "plain"))) for name in names}


def is_of_tasks(record: Record, chosen: Collection[str]) -> bool:
    """Whether a record is of one of some tasks.

    Args:
        record: A record.
        chosen: Names by ``chosen_tasks``; none for all tasks.

    Returns:
        Whether it is.
    """
    return not chosen or record.spec.task in chosen or task_text(record.spec) in chosen


def whole_runs(records: Iterable[Record], use: str) -> list[Record]:
    """The records of whole runs; a warning counts those of quick looks (``--limit``).

    Args:
        records: Records of any runs.
        use: What the records are for, as the beginning of a sentence.

    Returns:
        The records without a limit.

    Raises:
        UsageError: If all of them are of quick looks.
    """
    found = list(records)
    whole = [record for record in found if record.spec.limit is None]
    if found and not whole:
        raise UsageError(f"{use} needs whole runs, and all {len(found)} records are quick looks; run without --limit")
    if left := len(found) - len(whole):
        text = f"{use} leaves out {left} record{'s' if left > 1 else ''} of quick looks (--limit)"
        warnings.warn(text, BenchWarning, stacklevel=2)
    return whole
