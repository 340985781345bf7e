"""Python API, exported by ``bench``; the command line is a thin layer on it."""

from bench.api.claim_verdicts import Claims, claims
from bench.api.comparison import Comparison
from bench.api.descriptions import Description, FieldDescription, show
from bench.api.listing import Entry, available
from bench.api.maintenance import (
    Deleted,
    Diagnosis,
    FolderCheck,
    doctor,
    export_records,
    import_records,
    prune_records,
    record_schema,
    suite_schema,
    verify_records,
)
from bench.api.plan_table import Plan
from bench.api.reports import Checked, check, compare, load, update_baseline
from bench.api.results import Results
from bench.api.runs import plan, run
from bench.api.studies import Study, sweep
from bench.api.timeline import History, add_to_history, history
from bench.api.watching import watch
from bench.api.wrong_answers import Errors, errors

__all__ = [
    "Checked",
    "Claims",
    "Comparison",
    "Deleted",
    "Description",
    "Diagnosis",
    "Entry",
    "Errors",
    "FieldDescription",
    "FolderCheck",
    "History",
    "Plan",
    "Results",
    "Study",
    "add_to_history",
    "available",
    "check",
    "claims",
    "compare",
    "doctor",
    "errors",
    "export_records",
    "history",
    "import_records",
    "load",
    "plan",
    "prune_records",
    "record_schema",
    "run",
    "show",
    "suite_schema",
    "sweep",
    "update_baseline",
    "verify_records",
    "watch",
]
