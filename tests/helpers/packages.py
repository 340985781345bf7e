"""Packages of plugins, installed for a test."""

import subprocess
import sys
from pathlib import Path


def install(package: Path, site: Path) -> None:
    """Install the package in a folder into ``site``, as pip installs any package; nothing is downloaded."""
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation",
         "--target", str(site), str(package.resolve())],
        check=True,
    )  # fmt: skip
