"""Costs measured as briefly as a record allows: each stage as often as is required, and encoding on few items."""

import os
from importlib import import_module

SETTINGS = {"bench.costs.repeats.REFINING": 0.0, "bench.costs.encoding.SAMPLE": 8}
"""Values of constants of the program by their places."""
VARIABLE = "TESTS_BRIEF_COSTS"
"""Variable of the environment with which processes measure so."""


def set_in_this_process():
    """Set the constants for good, where the environment says so."""
    if VARIABLE in os.environ:
        for place, value in SETTINGS.items():
            module, _, name = place.rpartition(".")
            setattr(import_module(module), name, value)


def set_during(patch):
    """Set the constants until a patch is undone, in processes that are started too."""
    for place, value in SETTINGS.items():
        patch.setattr(place, value)
    patch.setenv(VARIABLE, "1")


def source():
    """Python source that sets the constants, for an interpreter that knows nothing of tests."""
    modules = {place.rpartition(".")[0] for place in SETTINGS}
    lines = [
        *(f"import {module}" for module in sorted(modules)),
        *(f"{place} = {value}" for place, value in SETTINGS.items()),
    ]
    return "\n".join(lines)
