"""Config files of sweeps: a method, its fields, and the search that found them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bench.contracts.errors import StoreError, UsageError
from bench.contracts.validation import validated
from bench.spec.tuning import Tuning
from bench.spec.yaml_text import read_yaml, yaml_text
from bench.toolkit.durable import write_atomic

FIRST_LINE = "# A config found by 'bench sweep'. The last line shows that the file is complete.\n"
LAST_LINE = "# End of the config.\n"


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
        text = FIRST_LINE + yaml_text(self.model_dump(mode="json")) + LAST_LINE
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
        content = read_yaml(path, "config")
        # A file that lost its end may still be YAML, with a shorter name of the study.
        if content.text.startswith(FIRST_LINE) and not content.text.endswith(LAST_LINE):
            raise UsageError(f"config {path} is incomplete, its last lines are missing; sweep again, or restore it")
        best = validated(Best, content.fields, f"config {path}", content.lines)
        if best.method in found:
            raise UsageError(f"--config gives two configs of {best.method}; leave one out")
        found[best.method] = best
    return found
