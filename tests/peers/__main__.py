"""Measures the rows and writes them: ``python -m tests.peers JSON [PAGE] [--data DIR] [--row NAME] [--quick]``.

``make peers`` calls it in a virtual environment that has the other programs. Exit code 1 if a row failed or if results
differ; a ratio below its goal is a line of the page.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.engine.trainer import quiet_lightning
from tests.helpers.docs import replace_section
from tests.helpers.places import SHARED
from tests.peers.measure import measured
from tests.peers.report import section
from tests.peers.row import Place
from tests.peers.rows import ROWS
from tests.perf.report import machine


def main(words: list[str]) -> int:
    """Measure and write; the JSON file is written after each row, so that an interruption loses one."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers")
    parser.add_argument("json", type=Path)
    parser.add_argument("page", type=Path, nargs="?")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of local data sets (BENCH_DATA)")
    parser.add_argument("--row", action="append", choices=[row.name for row in ROWS], help="only this row; repeatable")
    parser.add_argument("--quick", action="store_true", help="small sizes: do both programs work and agree?")
    given = parser.parse_args(words)
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    quiet_lightning()
    rows: list[dict[str, Any]] = []
    results = {"machine": machine(), "rows": rows}
    for row in ROWS:
        if given.row and row.name not in given.row:
            continue
        print(f"{row.name}: {row.work}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measured(row, Place(given.data if given.data.is_dir() else None, Path(folder), given.quick)))
        given.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text = section(results)
    print(text)
    if given.page and not given.quick:
        replace_section(given.page, "peers", text)
    return int(any(found["status"] in ("failed", "disagrees") for found in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
