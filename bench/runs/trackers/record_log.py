"""Log of a record in a tracker: its facts, its numbers and the curve of its loss."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.results.csv_cells import csv_cell
from bench.results.record import Record
from bench.spec.axes import AXES
from bench.spec.run_spec import RunSpec, task_slug
from bench.toolkit.files import text_hash

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger


LONGEST = 120
"""Most characters of the name of a run or a group."""


def row_name(spec: RunSpec) -> str:
    """Name of a run's row, which all its seeds share.

    Args:
        spec: The run.

    Returns:
        Task, backbone, method with the fields that differ from its defaults, budget and shots.
    """
    from bench.results.run_texts import budget_text, method_text

    parts = (
        task_slug(*spec.form()),
        spec.backbone,
        method_text(spec),
        budget_text(spec),
        f"{spec.shots}shot",
        "" if spec.limit is None else f"limit{spec.limit}",
    )
    name = "-".join(part for part in parts if part)
    # Two long names may begin alike.
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}-{text_hash(name)[:8]}"


def display_name(spec: RunSpec) -> str:
    """Name of a run in lists of runs.

    Args:
        spec: The run.

    Returns:
        The row's name and the seed.
    """
    return str(csv_cell(f"{row_name(spec)}-seed{spec.seed}"))


def shown(value: Any) -> Any:
    """A value whose texts are text wherever a tracker shows or exports them: no terminal's control, no formula.

    Args:
        value: Texts, numbers, lists and mappings.

    Returns:
        The same value with other texts, keys included, where these hold what cannot be seen or would be computed.
    """
    if isinstance(value, Mapping):
        return {shown(name): shown(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [shown(each) for each in value]
    return csv_cell(value)


def log_facts(logger: "Logger", facts: Mapping[str, Any]) -> None:
    """Log what a run is, as its config.

    Args:
        logger: Any of Lightning's loggers.
        facts: Facts by name.
    """
    logger.log_hyperparams(shown(facts))


def log_record(logger: "Logger", record: Record) -> None:
    """Log config, budget, loss curve and all numbers of a record.

    Args:
        logger: Any of Lightning's loggers.
        record: The record.
    """
    facts: dict[str, Any] = {
        "status": record.status,
        "reason": record.reason,
        "limits": record.limits,
        "violations": record.violations,
    }
    if record.value is not None:
        metric = registry.make_metric(record.metric)
        facts |= {"metric": metric.name, "unit": metric.label, "higher_is_better": metric.higher_is_better}
    log_facts(logger, {**record.identity, **facts, "provenance": record.provenance})
    for step, loss in record.notes.get("loss_curve", []):
        logger.log_metrics({"train/loss": loss}, step=step)
    logger.log_metrics(metrics(record), step=record.costs.steps + 1 if record.costs else 0)


def metrics(record: Record) -> dict[str, float]:
    """Numbers of a record by their names in trackers.

    Args:
        record: The record.

    Returns:
        Numbers by name, without missing ones.
    """
    numbers: dict[str, Any] = {f"score/{record.metric}": record.value}
    numbers |= {"score/ci_low": record.ci_low, "score/ci_high": record.ci_high}
    if (costs := record.costs) is not None:
        for name in ("encode", "adapt", "query"):
            stage = getattr(costs, name)
            numbers |= {
                f"seconds/{name}": stage.seconds,
                f"seconds/{name}_spread": stage.seconds_spread,
                f"memory/{name}_peak_mb": stage.peak_memory_mb,
                f"memory/{name}_reserved_mb": stage.reserved_memory_mb,
                f"flops/{name}": stage.flops,
            }
        for axis in AXES:
            if axis.tracker_name and (value := axis.of_costs(costs)) is not None:
                numbers[axis.tracker_name] = value / axis.tracker_per
    numbers |= {f"budget/{axis}": limit for axis, limit in record.limits.items()}
    return {name: float(value) for name, value in numbers.items() if value is not None}
