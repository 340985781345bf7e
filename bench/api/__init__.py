"""The Python API, of which the command line is a thin layer; ``bench`` exports it."""

from bench.api.plan_table import Plan
from bench.api.reports import Checked, check, compare, load, update_baseline
from bench.api.results import Comparison, Results
from bench.api.runs import plan, run
from bench.api.studies import Study, sweep

__all__ = [
    "Checked",
    "Comparison",
    "Plan",
    "Results",
    "Study",
    "check",
    "compare",
    "load",
    "plan",
    "run",
    "sweep",
    "update_baseline",
]
