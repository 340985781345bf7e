"""Config files of sweeps: a method, its fields, and the search that found them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bench.contracts.errors import UsageError
from bench.contracts.validation import validated
from bench.spec.tuning import Tuning
from bench.spec.yaml_text import read_yaml, yaml_text
from bench.toolkit.durable import write_atomic, writing
from bench.toolkit.files import text_hash

FIRST_LINE = "# A config found by 'bench sweep'; give values of your own by 'bench run --set'.\n"
"""The first line of a config that a sweep wrote."""
_TRACES = ("'bench sweep'", "'bench run --set'", "# Digest of the lines above")
"""Parts of the lines around a config; one without any of them is of the first edition, and has no digest."""
_WRITTEN = re.compile(r"(?P<lines>.*\n)# Digest of the lines above: (?P<digest>[0-9a-f]{16})\n", re.DOTALL)


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
        lines = FIRST_LINE + yaml_text(self.model_dump(mode="json"))
        with writing(path, "use --out DIR"):
            write_atomic(path, f"{lines}# Digest of the lines above: {_digest(lines)}\n")


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
        # A file that lost its end, or was changed, may still be YAML, and would claim a search that did not find it.
        if any(trace in content.text for trace in _TRACES):
            written = _WRITTEN.fullmatch(content.text)
            if written is None or _digest(written["lines"]) != written["digest"]:
                raise UsageError(
                    f"config {path} is not as its sweep wrote it: it was changed or has lost its end; restore it, "
                    "sweep again, or give values of your own by --set"
                )
        best = validated(Best, content.fields, f"config {path}", content.lines)
        if best.method in found:
            raise UsageError(f"--config gives two configs of {best.method}; leave one out")
        found[best.method] = best
    return found


def _digest(lines: str) -> str:
    return text_hash(lines)[:16]
