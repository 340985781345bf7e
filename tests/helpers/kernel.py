"""The notebook's kernel: a fork that finds the libraries imported and measures costs once, as tests do.

``python -m tests.helpers.kernel CONNECTION_FILE`` lasts as long as the kernel.
"""

import json
import os
import sys
from pathlib import Path

from tests.helpers import brief_costs
from tests.helpers.places import ROOT
from tests.helpers.preloaded import Program


def declare(folder: Path) -> None:
    """Have the notebooks of this process find the kernel as their own, ``python3``.

    Args:
        folder: An empty folder.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    specification = {
        "argv": [sys.executable, "-P", "-m", "tests.helpers.kernel", "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
        "env": {"PYTHONPATH": path, brief_costs.VARIABLE: "once", "IPYTHONDIR": str(folder / "ipython")},
    }
    place = folder / "kernels" / "python3"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(specification), encoding="utf-8")
    os.environ["JUPYTER_PATH"] = str(folder)


if __name__ == "__main__":
    sys.exit(Program("ipykernel_launcher", "-f", sys.argv[1]).exit_code(None))
