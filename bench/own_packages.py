"""The project's top-level packages, ahead of modules of the same names that a user has.

``methods``, ``tasks`` and ``sweeps`` are common names: a ``tasks.py`` in the current folder or on ``PYTHONPATH`` comes
first on ``sys.path`` and would hide the plugins.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

PLACE = Path(__file__).resolve().parents[1]
"""The folder that this ``bench`` was loaded from, a checkout or ``site-packages``."""
NAMES = ("methods", "tasks", "sweeps")


def folder(package: str) -> Path:
    """The folder of one of the project's packages, given by its dotted name; nothing is imported."""
    return PLACE.joinpath(*package.split("."))


def put_first() -> None:
    """Make the names mean this project's packages for the rest of the process and in processes that it starts.

    For processes that belong to the program: the command line and its workers.
    """
    if not sys.path or sys.path[0] != str(PLACE):
        sys.path.insert(0, str(PLACE))
    for name in _foreign():
        del sys.modules[name]


@contextmanager
def first() -> Iterator[None]:
    """Make the names mean this project's packages for a while; what a user imported before is back afterwards.

    For a process that is the user's: a notebook or a service that imports ``bench``.
    """
    foreign = _foreign()
    for name in foreign:
        del sys.modules[name]
    sys.path.insert(0, str(PLACE))
    try:
        yield
    finally:
        sys.path.remove(str(PLACE))
        sys.modules.update(foreign)


def _foreign() -> dict[str, ModuleType]:
    """Imported modules with a name of the project's that are somebody else's."""
    found = {name: sys.modules[name] for name in NAMES if name in sys.modules}
    own = {name: [str(folder(name))] for name in NAMES}
    return {
        name: module
        for name, module in found.items()
        if [str(Path(path).resolve()) for path in getattr(module, "__path__", ())] != own[name]
    }
