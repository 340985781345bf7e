"""Benchmark harness that compares ways of adapting a frozen pretrained model under matched budgets.

The Python API is imported on first use, so that ``import bench`` imports neither torch nor pandas:

    import bench

    results = bench.run(task="digits", methods=["faast", "knn"], shots=[1, 5], seeds=range(3))
    results.frame()
    results.compare("faast", "knn")
    results.page("board.html")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.version import __version__ as __version__

if TYPE_CHECKING:
    from bench.api import (
        Checked,
        Claims,
        Comparison,
        Deleted,
        Description,
        Diagnosis,
        Entry,
        Errors,
        FieldDescription,
        FolderCheck,
        History,
        Plan,
        Results,
        Study,
        add_to_history,
        available,
        check,
        claim_schema,
        claims,
        compare,
        doctor,
        errors,
        export_records,
        history,
        import_records,
        load,
        plan,
        prune_records,
        record_schema,
        run,
        show,
        suite_schema,
        sweep,
        update_baseline,
        verify_records,
        watch,
    )

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
    if name in __all__:
        return getattr(import_module("bench.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
