"""Executors: where the runs of a suite are executed, on this machine in several processes or on a Ray cluster.

The driver (``bench.runs.executors.driver``) plans the runs, hands out units and is alone in writing records and
trackers. A worker needs no disk in common with it: it executes a unit against a store of its own and sends back the
record with its predictions.
"""

from bench.runs.executors.interface import TRIES, Executor, LostWorker, Refused, Work, WorkOptions
from bench.runs.executors.unit import Unit, UnitOptions, UnitResult

__all__ = ["TRIES", "Executor", "LostWorker", "Refused", "Unit", "UnitOptions", "UnitResult", "Work", "WorkOptions"]
