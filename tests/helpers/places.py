"""Where the project is, and where real data and reference outputs may be found."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("BENCH_DATA") or ROOT.parent / "shared" / "data")
"""Real data; tests that need it are skipped where it is not."""
