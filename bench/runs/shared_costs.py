"""Costs shared by runs that differ in nothing that costs depend on, such as their seeds: measured once."""

import json
import socket
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from bench.contracts import GradientMethod, StoreError
from bench.costs.protocol import CostResult
from bench.results.record import Record
from bench.results.store import Store
from bench.runs.plan import PlannedRun
from bench.spec.budget import Budget, violations
from bench.spec.costs import Costs
from bench.spec.run_spec import RunSpec

FREE = ("seed", "episodes", "tuning", "match", "budget")
"""Parts of a run's identity that its costs do not depend on; the limits are compared in their resolved form."""
RUN_SECONDS = "run_seconds"
"""Name of the fact of a record's provenance that says how long its run took, encoding of its group left out."""
MEASURING = 3.0
"""Seconds that measuring costs takes at least, for estimates of runs whose duration no record has."""
FITTED = "fitted_"
"""Beginning of the names of notes on config fields that were changed to keep a budget."""
ENDING = frozenset({"adapt_seconds", "seconds_per_query", "query_milliseconds", "peak_memory_mb"})
"""Limits that at most end a method without optimizer steps, and change nothing else of what it does."""


@dataclass
class SharedCosts:
    """Measured costs of this call, and of the records of a store.

    Attributes:
        store: Where earlier records are looked up, once.
        in_company: Whether records count whose costs were measured in company: those of the same call do.
        kept_frozen: Ids of the runs of this call whose method was seen to leave the backbone as it was.
    """

    store: Store
    in_company: bool = False
    kept_frozen: set[str] = field(default_factory=set, init=False)
    _made: dict[str, tuple[str, CostResult]] = field(default_factory=dict, init=False)
    _unended: dict[str, tuple[str, CostResult]] = field(default_factory=dict, init=False)

    def find(self, run: PlannedRun, budget: Budget, device: str, process: str, stored: bool) -> CostResult | None:
        """Costs that were measured for a run like this one on this host.

        Args:
            run: The run.
            budget: All its limits.
            device: Model of its device.
            process: "fresh" or "same", as costs are measured now.
            stored: Whether records of the store count, other than those measured in company.

        Returns:
            The costs, which name the run that they were measured for; None where there are none.
        """
        key = _key(run.identity, budget.limits(), _here(device, process))
        if key in self._made:
            made_for, measured = self._made[key]
            costs = measured.costs and measured.costs.model_copy(update={"measured_for": made_for})
            return replace(measured, costs=costs, result=None)
        if (unended := self._unended.get(_key(run.identity, _acting(run, budget), _here(device, process)))) is not None:
            made_for, measured = unended
            assert measured.costs is not None
            costs = measured.costs.model_copy(update={"measured_for": made_for})
            return replace(measured, costs=costs, result=None, violations=tuple(violations(budget, costs)))
        record = self._stored.get(key) if stored else None
        if record is None or record.costs is None or record.id == run.id:
            return None
        costs = record.costs.model_copy(update={"measured_for": record.costs.measured_for or record.id})
        fitted = {name.removeprefix(FITTED): value for name, value in record.notes.items() if name.startswith(FITTED)}
        steps = costs.steps if budget.limits() and costs.steps else None
        return CostResult(costs, run.run.config.model_copy(update=fitted), steps, ())

    def expected_of(self, spec: RunSpec) -> float | None:
        """Seconds that a run took, or will take by recorded costs, without its identity.

        Args:
            spec: The run.

        Returns:
            Seconds of the latest record of a run like it, of any version of code and data; None without one.
        """
        return self._seconds.get(_likeness(spec))

    def expected(self, run: PlannedRun) -> float | None:
        """Seconds that the episodes of a run will take, from recorded costs of a run like it.

        Args:
            run: The run.

        Returns:
            Adapting and answering for all its episodes; None without such a record. Starts, encoding and repeated
            measurements are not in it.
        """
        costs = self._like.get(cost_key(run.identity))
        return None if costs is None else (costs.adapt.seconds + costs.query.seconds) * len(run.episodes)

    def add(self, run: PlannedRun, budget: Budget, device: str, process: str, measured: CostResult) -> None:
        """Keep costs that were measured for a run.

        Args:
            run: The run.
            budget: All its limits.
            device: Model of its device.
            process: "fresh" or "same".
            measured: Its costs.
        """
        place = _here(device, process)
        self._made[_key(run.identity, budget.limits(), place)] = run.id, measured
        # Of long work without limits only the counted pass is timed, which is not held against a limit.
        if measured.costs is not None and measured.costs.repeats and not issubclass(run.run.method, GradientMethod):
            self._unended[_key(run.identity, _acting(run, budget), place)] = run.id, measured

    @cached_property
    def _measured(self) -> list[tuple[Record, Costs]]:
        """Records with costs, as the store had them at first; damaged files are reported elsewhere."""
        with suppress(StoreError):
            found = self.store.scan()[0]
            return [(each, each.costs) for each in found if each.status == "ok" and each.costs is not None]
        return []

    @cached_property
    def _stored(self) -> dict[str, Record]:
        """Records with costs that were measured alone, by what their costs depend on."""
        return {
            _key(record.identity, record.limits, _there(costs)): record
            for record, costs in self._measured
            if costs.conditions is not None and (self.in_company or not costs.company)
        }

    @cached_property
    def _like(self) -> dict[str, Costs]:
        return {cost_key(record.identity): costs for record, costs in self._measured}

    @cached_property
    def _seconds(self) -> dict[str, float]:
        in_time = sorted(self._measured, key=lambda each: str(each[0].provenance.get("finished", "")))
        return {_likeness(record.spec): _seconds(record, costs) for record, costs in in_time}


def _likeness(spec: RunSpec) -> str:
    """What the duration of a run depends on most."""
    return spec.model_dump_json(exclude={"seed", "budget", "match", "tuning"})


def _seconds(record: Record, costs: Costs) -> float:
    """Seconds that a run took; of earlier programs those of its episodes, and of a measurement."""
    if isinstance(taken := record.provenance.get(RUN_SECONDS), int | float):
        return float(taken)
    return (costs.adapt.seconds + costs.query.seconds) * record.spec.episodes + MEASURING


def _acting(run: PlannedRun, budget: Budget) -> dict[str, float]:
    """The limits that change what a run does, beside ending it."""
    steps = issubclass(run.run.method, GradientMethod)
    return {axis: limit for axis, limit in budget.limits().items() if steps or axis not in ENDING}


def _here(device: str, process: str) -> tuple[str, ...]:
    """What costs depend on besides a run's identity, for measurements of this process."""
    return socket.gethostname(), device, str(torch.get_num_threads()), process


def _there(costs: Costs) -> tuple[str, ...]:
    """The same for measured costs."""
    assert costs.conditions is not None
    return costs.conditions.host, costs.device, str(costs.conditions.threads), costs.process


def cost_key(identity: dict[str, Any]) -> str:
    """What a run's costs depend on, without its limits and without the place where they are measured.

    Args:
        identity: Identity of the run.

    Returns:
        A text that is equal for runs that may share their costs.
    """
    return json.dumps({name: value for name, value in identity.items() if name not in FREE}, sort_keys=True)


def _key(identity: dict[str, Any], limits: dict[str, float], place: tuple[str, ...]) -> str:
    return json.dumps([cost_key(identity), limits, place], sort_keys=True)
