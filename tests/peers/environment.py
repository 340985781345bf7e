"""Adds the packages of another interpreter to this one's: ``python -m tests.peers.environment PYTHON``."""

import subprocess
import sys
import sysconfig
from pathlib import Path


def main(python: str) -> None:
    """Write a ``.pth`` file that adds the packages of another interpreter behind this one's."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    theirs = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    # addsitedir also reads the .pth files of that folder, such as that of an editable install.
    line = f"import site; site.addsitedir({theirs!r})\n"
    (Path(sysconfig.get_path("purelib")) / "project.pth").write_text(line, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
