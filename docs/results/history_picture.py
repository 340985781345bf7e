"""A history of made-up commits, its page and a picture: ``PYTHONPATH=. python docs/results/history_picture.py``.

A year of 60 states with the noise of measured runs (tests/helpers/histories.py), in which at the 38th a score falls by
a point and a time grows by 15%. ``bench history show`` makes the page; the picture is that of docs/history.md.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from pictures import photograph

from bench.reports.history.file import append
from tests.helpers.histories import history

FIRST = 37
"""Number of the first state after the planted changes."""
PLANTED = (("u", "probe", "accuracy", FIRST, -1.0), ("t", "closed", "time", FIRST, 0.15))
PICTURE = Path(__file__).parents[1] / "images" / "history.png"


def main() -> None:
    """Write the page and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, help="Keep the page in this file.")
    parser.add_argument("--size", default="800x1040", help="Width and height of the window.")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    with TemporaryDirectory() as folder:
        states, page = Path(folder) / "history.parquet", options.page or Path(folder) / "history.html"
        append(states, history(0, planted=PLANTED))
        show = [sys.executable, "-m", "bench", "history", "show", "--history", str(states)]
        subprocess.run([*show, "--format", "html", "--out", str(page)], check=True)
        photograph(page.resolve().as_uri(), PICTURE, (width, height), 1.5, check="#history-changed")


if __name__ == "__main__":
    main()
