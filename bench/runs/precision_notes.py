"""Notes on the error of a lower precision, for the user and for the records of a group of runs."""

from typing import Any

import numpy as np

from bench import registry
from bench.contracts import CLASSIFICATION, Pool, TaskData
from bench.contracts.errors import one_line_error
from bench.data.payload import in_memory
from bench.engine.precision_error import LOWER, SAMPLE, precision_error
from bench.engine.trainer import DeviceOptions
from bench.engine.worker import Worker
from bench.runs.reporter import Reporter
from bench.spec.run_spec import RunSpec

_found: dict[Any, str] = {}
"""Errors by task, data, backbone and device: an executor's process has a group for each of its runs."""


def precision_notes(
    data: TaskData, devices: DeviceOptions, worker: Worker, spec: RunSpec, reporter: Reporter
) -> dict[str, str]:
    """Compare a precision with float32 on a few support items, once in a process, and show the error.

    Args:
        data: The task's data.
        devices: Device and precision.
        worker: Where the backbone is loaded; each call has a process of its own, or nothing is compared, as weights
            cannot be converted back.
        spec: One of the runs.
        reporter: Receives the line.

    Returns:
        The note ``precision_error`` of the runs' records; none in float32, nor for a model over several devices.
    """
    if devices.precision not in LOWER or devices.strategy is not None or worker.process != "fresh":
        return {}
    key = (*spec.shared(), data.revision, devices)
    if key not in _found:
        chosen = np.unique(np.linspace(0, len(data.support.labels) - 1, SAMPLE).astype(int))
        names = data.classes if registry.task_class(spec.task).kind in CLASSIFICATION else ()
        try:
            pool = Pool(in_memory(data.support.inputs, chosen), np.zeros(len(chosen), dtype=np.int64))
            _found[key] = worker.call(precision_error, pool, names, devices)
        except Exception as error:  # an item that cannot be read is an error of the runs that draw it
            _found[key] = f"not compared: {one_line_error(error)}"
        reporter.problem(f"{spec.task} on {spec.backbone} in {devices.precision}: {_found[key]}")
    return {"precision_error": _found[key]}
