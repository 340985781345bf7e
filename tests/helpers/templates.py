"""A package with a plugin of each template of ``bench new``; ``python -m tests.helpers.templates`` checks its types.

``make lint`` does so after it has checked the project's, whose cache has all types that the plugins use.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.contracts import Kind
from bench.scaffold.write import new_plugin
from tests.helpers.places import ROOT

PACKAGE = "template_plugins"


def write_all(folder: Path) -> Path:
    """Write the package into a folder named PACKAGE; returns the folder."""
    new_plugin("methods", "new_method", folder)
    for kind in Kind:
        new_plugin("tasks", f"new_{kind}", folder, f"task_{kind}")
    new_plugin("backbones", "new_backbone", folder)
    new_plugin("metrics", "new_metric", folder)
    return folder


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        modules = map(str, (write_all(Path(temporary) / PACKAGE) / PACKAGE).glob("*.py"))
        checked = subprocess.run([sys.executable, "-m", "mypy", *modules], cwd=ROOT, check=False)
    sys.exit(checked.returncode)
