"""Tables and figures of the papers: ``python docs/results/paper.py`` on a machine that does nothing else.

The papers are FAAST's and those of in-place test-time training, Fast-Slow Training and the fast weights of Ba et al.
Small suites are run, each into ``results/NAME``, where finished runs are not run again, and the recurrent networks of
examples/, into ``results/fast_weights_rnn.json``. Then what results there are is written, those of large suites too:
published values beside ours into docs/paper.md, tables into docs/results, figures into docs/images. Interrupted, it
goes on where it was. Some 75 minutes on two cores; ``--data DIR`` adds the small suites on data that are not embedded.

A large suite is run where it is named: ``python docs/results/paper.py paper_vision --data DIR``. ``--no-run`` writes
pages and figures alone.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from paper_pages import EXAMPLE, NETWORKS, OTHERS, WITH_DATA, Measured, entries, write_pages
from regenerate import ROOT

import bench
from bench.spec.suite import suite_paths


def default_names(data: Path | None) -> list[str]:
    """What is run where nothing is named: small suites on embedded data, and the recurrent networks.

    Args:
        data: Folder of local data sets; with one, small suites on these are run too.

    Returns:
        Names of suites, and of the example.
    """
    small = dict.fromkeys((*(entry.small for entry in entries()), *OTHERS, *WITH_DATA))
    return [*(name for name in small if data is not None or name not in WITH_DATA), NETWORKS]


def run(results: Measured, suite: str, data: Path | None) -> None:
    """Run what is missing of a suite, or of the example, and add up the time.

    Args:
        results: Records of suites.
        suite: Name of the suite or of the example.
        data: Folder of local data sets.
    """
    _say(f"{suite}: runs what is missing")
    started = time.perf_counter()
    if suite == NETWORKS:
        # A process of its own, as it sets the number of threads.
        subprocess.run([sys.executable, EXAMPLE, "--out", results.networks], check=True)
        _say(f"{suite}: done in {time.perf_counter() - started:.0f} s")
        return
    store = results.store(suite)
    before = set(store.glob("*.json"))
    try:
        found = bench.run(suite=suite, data=data, store=store, logger="none")
    finally:
        passed, new = time.perf_counter() - started, set(store.glob("*.json")) - before
        if new:
            results.add_seconds(suite, passed)
    _say(f"{suite}: {len(found)} runs, {len(new)} of them new, {len(found.failed)} failed, {passed:.0f} s")
    for problem in [*found.problems, *(f"{one.spec.task} {one.spec.method}: {one.reason}" for one in found.failed)]:
        _say(f"  {problem}")


def write_figures(results: Measured) -> list[Path]:
    """Draw the figures of all small suites that were run, and of the recurrent networks.

    Args:
        results: Records of suites.

    Returns:
        The files.
    """
    import charts  # a browser and plots, which the processes that measure do without
    import paper_figures

    images = results.root / "docs" / "images"
    figures = {
        images / name: make(found.records)
        for suite, (name, make) in paper_figures.OF_SUITES.items()
        if (found := results.of(suite)) is not None
    }
    if results.networks.exists():
        figures[images / paper_figures.NETWORKS] = paper_figures.networks(results.networks)
    if figures:
        charts.write_images(figures)
    return list(figures)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(words: Sequence[str] | None = None) -> None:
    """Run suites, then write pages and figures.

    Args:
        words: Words of the command line; by default those of this process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", help=f"Suites, or {NETWORKS}; by default small ones.")
    parser.add_argument("--data", type=Path, help="Folder of local data sets.")
    parser.add_argument("--root", type=Path, default=ROOT, help="Folder of docs and results.")
    parser.add_argument("--no-run", action="store_true", help="Write pages and figures from what results there are.")
    options = parser.parse_args(words)
    names = options.suites or default_names(options.data)
    if unknown := [name for name in names if name not in {*suite_paths(), NETWORKS}]:
        parser.error(f"no suite {', '.join(unknown)}; bench list suites has them")
    results = Measured(options.root)
    for number, name in enumerate([] if options.no_run else names, start=1):
        _say(f"[{number} of {len(names)}] {name}")
        run(results, name, options.data)
    for path in [*write_figures(results), *write_pages(results)]:
        _say(f"wrote {path}")


if __name__ == "__main__":
    main()
