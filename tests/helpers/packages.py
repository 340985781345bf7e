"""Packages of plugins, installed for a test."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from bench import registry

BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def install(package: Path, site: Path) -> None:
    """Install the package in a folder into ``site``: its wheel, unpacked. tests/test_wheel.py installs one by pip."""
    with TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", BUILD, folder], cwd=package, stdout=subprocess.DEVNULL, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with ZipFile(wheel) as archive:
            archive.extractall(site)


def forget(site: Path) -> None:
    """Leave no module of the packages in ``site`` to this process: another test may install one of the same name."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        # What tests import from the checkout, as a package of theirs, stays.
        if file and Path(file).is_relative_to(site) and name.partition(".")[0] != "tests":
            del sys.modules[name]
    registry.find.cache_clear()
