"""What a harness adds to a method that does nothing: benchopt and this project."""

import os
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

from pyarrow import parquet

from bench.results.store import Store
from tests.helpers.places import ROOT
from tests.peers.row import Check, Place, Ready, Row

RUNS = 100
BENCHMARK = Path(__file__).parent / "benchopt_empty"
METHOD = '''"""A method that does nothing."""

from bench.contracts import ForwardMethod, Kind


class Empty(ForwardMethod):
    """Scores of 0."""

    kinds = frozenset({Kind.IMAGE_CLASSIFICATION})
    uses_support = False
    source = "none"

    def observe(self, support):
        """Nothing."""

    def predict(self, query):
        """Zeros ``[episode, item, way]``."""
        return query.keys.new_zeros(*query.mask.shape, query.classes.n_way)


PLUGIN = Empty
'''


def installed(folder: Path) -> Path:
    """A folder for ``PYTHONPATH`` with the method, as an installed package would be."""
    facts = folder / "empty_method-1.dist-info"
    facts.mkdir(parents=True)
    (folder / "empty_method.py").write_text(METHOD, encoding="utf-8")
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: empty-method\nVersion: 1\n", encoding="utf-8")
    (facts / "RECORD").write_text("empty_method.py,,\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text("[bench.methods]\nempty = empty_method\n", encoding="utf-8")
    return folder


def make(place: Place) -> Ready:
    """Both command lines, from the interpreter's start to the last file; features are cached by a run before."""
    site, numbers, runs = installed(place.folder / "site"), count(), place.size(RUNS, 3)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), "WANDB_MODE": "offline"}

    def call(words: list[str], folder: Path) -> None:
        subprocess.run(
            [sys.executable, "-m", *words], cwd=folder, env=environment, check=True, capture_output=True, text=True
        )  # fmt: skip

    def ours() -> int:
        store = place.folder / f"store{next(numbers)}"
        call([
            "bench", "run", "--task", "digits", "--method", "empty", "--shots", "1", "--episodes", "1",
            "--queries", "1", "--seeds", f"0-{runs - 1}", "--logger", "none", "--accelerator", "cpu",
            "--store", str(store),
        ], ROOT)  # fmt: skip
        return len(list(Store(store)))

    def peer() -> int:
        # A fresh copy: finished runs are cached in the benchmark's folder.
        folder = place.folder / f"benchmark{next(numbers)}"
        shutil.copytree(BENCHMARK, folder)
        call(["benchopt", "run", ".", "-r", str(runs), "--no-plot"], folder)
        (file,) = (folder / "outputs").glob("*.parquet")
        return parquet.read_table(file).num_rows

    def compare(mine: int, other: int) -> list[Check]:
        return [Check("runs", mine == other == runs, f"{mine} and {other} runs recorded")]

    return Ready(ours, peer, compare, rounds=3, warm=lambda: (ours(), peer()))


ROWS = (
    Row(
        name="benchopt", peer="benchopt 1.10.0", goal=5, checks=("runs",), make=make,
        work=f"a method that does nothing, {RUNS} runs, the whole process",
        reason="Ours starts torch, transformers and Lightning, some 4 s of CPU time that benchopt does not need, "
        "reads a backbone and features, and measures time, memory and operations of adapting in a fresh "
        "process; a run of its own is a record with its identity, provenance and predictions, flushed to "
        "the disk.",
    ),
)  # fmt: skip
