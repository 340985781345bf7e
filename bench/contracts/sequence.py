"""Names of sequences of tasks: the names of the tasks in their order, such as ``sst2 then rotten_tomatoes``."""

from collections.abc import Sequence

THEN = " then "
"""Between the names of two tasks that are learnt one after the other."""


def joined_name(names: Sequence[str]) -> str:
    """The name of a sequence of tasks.

    Args:
        names: Names of its tasks in order.

    Returns:
        The name; that of the task alone where there is one.
    """
    return THEN.join(names)


def task_names(name: str) -> tuple[str, ...]:
    """The tasks that a name stands for.

    Args:
        name: Name of a task or of a sequence of tasks.

    Returns:
        Names of the tasks in order; the name itself where it is that of a task.
    """
    return tuple(name.split(THEN))


def is_sequence(name: str) -> bool:
    """Whether a name is that of a sequence of tasks.

    Args:
        name: Name of a task or of a sequence of tasks.

    Returns:
        True for several tasks.
    """
    return THEN in name
