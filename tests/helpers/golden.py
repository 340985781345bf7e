"""Reference outputs: the cases of this project, and those of a larger folder where it is there."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from tests.helpers.places import ROOT

FOLDERS = {
    "small": ROOT / "tests" / "golden",
    "all": Path(os.environ.get("BENCH_GOLDEN") or ROOT.parent / "shared" / "golden"),
}


class Case(NamedTuple):
    """One case: its facts, and the folder and name of its files."""

    facts: dict[str, Any]
    folder: Path
    name: str


def cases(kind: str) -> dict[str, Case]:
    """The cases of a kind, ``vision`` or ``llm``, by an id that says which folder they are from."""
    return {
        f"{origin}-{name}": Case(facts, root / kind, name)
        for origin, root in FOLDERS.items()
        if (root / kind / "cases.json").is_file()
        for name, facts in json.loads((root / kind / "cases.json").read_text()).items()
    }
