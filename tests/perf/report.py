"""Writes the measured section of docs/performance.md from pytest-benchmark's JSON."""

import json
import os
import platform
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from bench.meters.cpu import cpu_model
from tests.helpers.docs import replace_section


def cost(run: dict[str, Any]) -> tuple[float, str]:
    """What a way takes for the whole of the work, and the same in words: a count, or the median of the rounds."""
    info = run["extra_info"]
    if "count" in info:
        return float(info["count"]), f"{info['count']:,} {info['counted']}"
    seconds = float(run["stats"]["median"]) / float(info["share"])
    return seconds, f"{seconds:.3g} s"


def row(what: str, ways: dict[str, dict[str, Any]]) -> str:
    """One line of the table."""
    ours, other = ways["ours"], ways["other"]
    info = ours["extra_info"]
    memory = ""
    if "peak_mb" in info:
        memory = f"{info['peak_mb']:.0f} against {other['extra_info']['peak_mb']:.0f} MB"
    error = f"{info['error']:.1e} from {info['error_of']}" if "error" in info else ""
    (least, our_cost), (most, other_cost) = cost(ours), cost(other)
    times = f"{our_cost} | {other_cost}"
    ratio = f"{most / least:.1f}x | {info['promise']:.3g}x"
    return f"| {what} | {info['against']} | {times} | {ratio} | {error} | {memory} |"


def machine() -> str:
    """The machine in words, for a page."""
    return (
        f"{cpu_model()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads of torch "
        f"{torch.__version__.partition('+')[0]}, Python {platform.python_version()}, {platform.system()}"
    )


def section(runs: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    """The section as Markdown."""
    cpu = machine["cpu"]
    rounds = [run["stats"]["rounds"] for run in runs]
    lines = [
        f"Machine: {cpu.get('brand_raw', platform.processor())}, {cpu['count']} cores, "
        f"{torch.get_num_threads()} threads of torch {torch.__version__.partition('+')[0]}, Python "
        f"{machine['python_version']}, {machine['system']}. "
        f"Medians of {min(rounds)} to {max(rounds)} rounds after warming up.",
        "",
        "| what | against | ours | other | ratio | at least | relative error | extra peak memory |",
        "|---|---|---:|---:|---:|---:|---|---|",
    ]
    for what, group in groupby(sorted(runs, key=lambda run: str(run["group"])), key=lambda run: str(run["group"])):
        lines.append(row(what, {run["extra_info"]["way"]: run for run in group}))
    return "\n".join(lines)


def main(results: Path, page: Path) -> None:
    """Replace the measured section of ``page``."""
    content = json.loads(results.read_text(encoding="utf-8"))
    replace_section(page, "measured", section(content["benchmarks"], content["machine_info"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
