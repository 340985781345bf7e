"""The project's top-level packages, ahead of a user's modules of the same names.

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
_OWN = {name: [str(PLACE / name)] for name in NAMES}


def folder(package: str) -> Path:
    """Folder of one of the project's packages, without an import.

    Args:
        package: Dotted name.

    Returns:
        Path of the folder.
    """
    return PLACE.joinpath(*package.split("."))


def put_first() -> None:
    """Make the names mean this project's packages for the rest of the process and in its child processes.

    For processes of the program: the command line and its workers.
    """
    if not sys.path or sys.path[0] != str(PLACE):
        sys.path.insert(0, str(PLACE))
    for name in _foreign():
        del sys.modules[name]


@contextmanager
def first() -> Iterator[None]:
    """Context in which the names mean this project's packages; a user's modules are restored at the end.

    For a process of the user: a notebook or a service that imports ``bench``.
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
    """Imported modules with one of the names that are not the project's."""
    found = {name: sys.modules[name] for name in NAMES if name in sys.modules}
    return {name: module for name, module in found.items() if not _is_own(name, module)}


def _is_own(name: str, module: ModuleType) -> bool:
    paths = list(getattr(module, "__path__", ()))
    return paths == _OWN[name] or [str(Path(path).resolve()) for path in paths] == _OWN[name]
