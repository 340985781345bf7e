"""Packages of plugins, installed or declared for a test."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from bench import registry
from tests.helpers import preloaded


def install(package: Path, site: Path) -> None:
    """Install the package in a folder into ``site``: its wheel, unpacked. tests/test_wheel.py installs one by pip."""
    with TemporaryDirectory() as folder, ZipFile(build_wheel(package, Path(folder))) as archive:
        archive.extractall(site)


def build_wheel(package: Path, folder: Path) -> Path:
    """Build the wheel of a package in another process.

    Args:
        package: The package's folder, in which the build leaves others.
        folder: An existing folder without wheels.

    Returns:
        The wheel, in ``folder``.
    """
    process = preloaded.context().Process(target=_build, args=(package.resolve(), str(folder)))
    process.start()
    process.join()
    assert process.exitcode == 0
    (wheel,) = folder.glob("*.whl")
    return wheel


def _build(package: Path, folder: str) -> None:
    """Build a wheel in this process, which has imported setuptools."""
    import setuptools
    from setuptools import build_meta

    # Where setuptools has its own libraries: its import has put it there in the process that this one is a fork of.
    sys.path.append(str(Path(setuptools.__file__).parent / "_vendor"))
    os.chdir(package)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    logging.disable(logging.WARNING)
    sys.argv[:] = ["setup.py"]
    build_meta.build_wheel(folder)


@contextmanager
def declared(site: Path, entry_points: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """Has plugins found, as if a package had brought them.

    Args:
        site: A folder, which is made: it has the facts of such a package, and is on the path for as long.
        entry_points: By group and name, ``MODULE:ATTRIBUTE``.
    """
    facts = site / "declared_plugins-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: declared-plugins\nVersion: 1.0\n")
    lines = [line for group, points in entry_points.items()
             for line in (f"[{group}]", *(f"{name} = {place}" for name, place in points.items()))]  # fmt: skip
    (facts / "entry_points.txt").write_text("\n".join(lines) + "\n")
    sys.path.insert(0, str(site))
    registry.find.cache_clear()
    try:
        yield
    finally:
        sys.path.remove(str(site))
        registry.find.cache_clear()


def forget(site: Path) -> None:
    """Leave no module of the packages in ``site`` to this process: another test may install one of the same name."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        # What tests import from the checkout, as a package of theirs, stays.
        if file and Path(file).is_relative_to(site) and name.partition(".")[0] != "tests":
            del sys.modules[name]
    registry.find.cache_clear()
