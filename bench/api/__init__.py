"""Python API, exported by ``bench``; the command line is a thin layer on it.

Names are imported on first use, so that the help of a command imports no library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api.claim_verdicts import Claims, claims
    from bench.api.comparison import Comparison
    from bench.api.descriptions import Description, show
    from bench.api.field_descriptions import FieldDescription
    from bench.api.listing import Entry, available
    from bench.api.maintenance import (
        Deleted,
        Diagnosis,
        FolderCheck,
        claim_schema,
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

_MODULES = {
    "Checked": "reports",
    "Claims": "claim_verdicts",
    "Comparison": "comparison",
    "Deleted": "maintenance",
    "Description": "descriptions",
    "Diagnosis": "maintenance",
    "Entry": "listing",
    "Errors": "wrong_answers",
    "FieldDescription": "field_descriptions",
    "FolderCheck": "maintenance",
    "History": "timeline",
    "Plan": "plan_table",
    "Results": "results",
    "Study": "studies",
    "add_to_history": "timeline",
    "available": "listing",
    "check": "reports",
    "claim_schema": "maintenance",
    "claims": "claim_verdicts",
    "compare": "reports",
    "doctor": "maintenance",
    "errors": "wrong_answers",
    "export_records": "maintenance",
    "history": "timeline",
    "import_records": "maintenance",
    "load": "reports",
    "plan": "runs",
    "prune_records": "maintenance",
    "record_schema": "maintenance",
    "run": "runs",
    "show": "descriptions",
    "suite_schema": "maintenance",
    "sweep": "studies",
    "update_baseline": "reports",
    "verify_records": "maintenance",
    "watch": "watching",
}
"""The module of this package that defines each name."""

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
    "claim_schema",
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


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"bench.api.{_MODULES[name]}"), name)
