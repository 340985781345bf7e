"""Variables of the environment that are set for some time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Context with a variable of the environment, which processes that are started in it inherit.

    Args:
        name: Name of the variable.
        value: Its value; the earlier one comes back.
    """
    earlier = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if earlier is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = earlier
