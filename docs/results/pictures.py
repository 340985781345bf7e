"""A picture of a leaderboard's page, for README and the tutorial: ``python docs/results/pictures.py STORE FILE.png``.

That of docs/page.md is of ``results/quickstart``, that of README and of docs/index.md its top (``--size 1200x780``);
that of the tutorial is of its reader's store.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from figures import opened_browser
from PIL import Image
from playwright.sync_api import sync_playwright

import bench

SETTLED = 2000
"""Milliseconds in which the page's charts are drawn."""
COLOURS = 255
"""Of the image, which is a quarter of the size of one with all colours."""


def picture(store: Path, out: Path, address: str, size: tuple[int, int], scale: float) -> None:
    """Write the top of a leaderboard's page as an image.

    Args:
        store: Folder of records.
        out: File to write.
        address: What follows the page's address: the filters that it keeps there.
        size: Width and height of the window.
        scale: Pixels of the image for one of the window.
    """
    with TemporaryDirectory() as folder:
        board = bench.load(store).page(Path(folder) / "board.html")
        photograph(board.as_uri() + address, out, size, scale)


def photograph(address: str, out: Path, size: tuple[int, int], scale: float, check: str = "") -> None:
    """Write the top of a page as an image.

    Args:
        address: The page's address.
        out: File to write.
        size: Width and height of the window.
        scale: Pixels of the image for one of the window.
        check: Selector of a box that is checked first.
    """
    with sync_playwright() as playwright:
        view = opened_browser(playwright).new_page(
            viewport={"width": size[0], "height": size[1]}, device_scale_factor=scale
        )
        view.goto(address)
        if check:
            view.check(check)
        view.wait_for_timeout(SETTLED)
        view.screenshot(path=out)
    Image.open(out).convert("RGB").quantize(COLOURS).save(out, optimize=True)


def main() -> None:
    """Write a picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, help="Folder of records.")
    parser.add_argument("out", type=Path, help="PNG file to write.")
    parser.add_argument("--address", default="", help="Filters, as the page's address has them: '#task=digits'.")
    parser.add_argument("--size", default="1200x960", help="Width and height of the window.")
    parser.add_argument("--scale", type=float, default=1.5, help="Pixels of the image for one of the window.")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    picture(options.store, options.out, options.address, (width, height), options.scale)


if __name__ == "__main__":
    main()
