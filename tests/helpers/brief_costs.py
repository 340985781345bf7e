"""Costs measured more briefly than the program does: once, or repeated as often as a record requires."""

import gc
import os
import sys
from importlib import import_module

SETTINGS = {
    "once": {"bench.costs.repeats.LONG": 0.0, "bench.costs.repeats.PATIENCE": 0.0, "bench.costs.encoding.SAMPLE": 8},
    "repeated": {"bench.costs.repeats.REFINING": 0.0},
}
"""Values of constants of the program by their places: with "once" no stage is repeated, and few items are encoded; with
"repeated" stages that vary are repeated no further than others."""
VARIABLE = "TESTS_COSTS"
"""Variable of the environment with which processes measure so: a name of SETTINGS."""


def set_in_this_process():
    """Set the constants for good, where the environment says so."""
    for place, value in SETTINGS.get(os.environ.get(VARIABLE), {}).items():
        module, _, name = place.rpartition(".")
        setattr(import_module(module), name, value)


def set_during(patch, how="once"):
    """Set the constants until a patch is undone, in processes that are started too."""
    for place, value in SETTINGS[how].items():
        patch.setattr(place, value)
    patch.setenv(VARIABLE, how)
    memory = import_module("bench.meters.memory")
    patch.setattr(memory, "release_freed_memory", _skipping_loaded(memory.release_freed_memory))


def _skipping_loaded(release):
    """``release_freed_memory``, which collects garbage before each stage, without what is loaded by then.

    A worker that measures is forked with all loaded; here a run imports plugins and libraries on the way.
    """
    known = 0

    def released():
        nonlocal known
        release()
        if len(sys.modules) > known:
            gc.freeze()
            known = len(sys.modules)

    return released
