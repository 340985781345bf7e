"""Config files of sweeps: a method, its fields, and the search that found them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from bench.contracts.errors import StoreError, UsageError
from bench.contracts.validation import validated
from bench.spec.suite import read_yaml
from bench.spec.tuning import Tuning
from bench.toolkit.files import write_atomic


class Best(BaseModel):
    """The best config of a study, as ``bench run --config`` takes it.

    Attributes:
        method: Name of the method.
        config: Fields of its config.
        tuning: The search that found them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    config: dict[str, Any]
    tuning: Tuning

    def write(self, path: Path) -> None:
        """Write the config as YAML.

        Args:
            path: The file.

        Raises:
            StoreError: If the file cannot be written.
        """
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
        try:
            write_atomic(path, text)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}; use --out DIR") from error


def read_configs(paths: Sequence[Path]) -> dict[str, Best]:
    """Read configs that sweeps wrote.

    Args:
        paths: The files.

    Returns:
        Configs by method.

    Raises:
        UsageError: For a file without a config, and for two configs of one method.
    """
    found: dict[str, Best] = {}
    for path in paths:
        best = validated(Best, read_yaml(path, "config"), f"config {path}")
        if best.method in found:
            raise UsageError(f"--config gives two configs of {best.method}; leave one out")
        found[best.method] = best
    return found
