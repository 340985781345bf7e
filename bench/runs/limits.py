"""Budgets of runs that are about to start: possible ones, and those taken from another run's costs."""

from collections.abc import Mapping, Sequence

from bench.contracts import InputMode, UsageError
from bench.results.record import Record
from bench.runs.encode import EncodeCosts
from bench.runs.plan import PlannedRun
from bench.spec.budget import Budget, require_possible


def require_some_possible(runs: Sequence[PlannedRun], costs: EncodeCosts) -> None:
    """Check that at least one of the limited runs can keep its budget.

    Args:
        runs: Runs of one group.
        costs: The group's encoding costs.

    Raises:
        UsageError: If every limited run has a budget below the backbone's own cost.
    """
    limited = [run for run in runs if run.spec.budget.limits()]
    refusals: list[UsageError] = []
    for run in limited:
        reads_features = run.run.input_mode is InputMode.FEATURES
        try:
            require_possible(run.spec.budget, costs.least(run), reads_features, run.spec.backbone)
        except UsageError as error:
            refusals.append(error)
    if limited and len(refusals) == len(limited):
        raise refusals[0]


def resolved_budget(run: PlannedRun, records: Mapping[str, Record]) -> Budget:
    """All limits of a run, those of a match included.

    Args:
        run: The run.
        records: Finished records by id; they include the run that this one is matched to.

    Returns:
        The budget.

    Raises:
        UsageError: If the costs of the matched run are not known.
    """
    budget, match = run.spec.budget, run.spec.match
    if run.reference_id is None or match is None:
        return budget
    record = records.get(run.reference_id)
    if record is None or record.costs is None:
        why = "it was not run" if record is None else f"it is {record.status}: {record.reason}"
        raise UsageError(f"{run.spec.method} is matched to {match.method}, whose costs are not known: {why}")
    return budget.with_match(match.budget(record.costs, run.run.input_mode is InputMode.FEATURES))
