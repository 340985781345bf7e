"""Choice of an executor, and shares of a suite for arrays of jobs."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.contracts.errors import UsageError, did_you_mean, shown
from bench.spec.strategies import require_strategy

if TYPE_CHECKING:
    from bench.runs.executors import Executor
    from bench.spec.run_spec import RunSpec

EXECUTORS = ("local", "ray")
"""Values of ``--executor``."""
MOST_SHARES = 100_000


def require_fitting(how: Mapping[str, Any]) -> None:
    """Require a known executor, and that options of one are not used with the other.

    Args:
        how: The arguments of ``bench.run`` or ``bench.sweep`` by name.

    Raises:
        UsageError: For anything else.
    """
    if how["executor"] not in EXECUTORS:
        raise did_you_mean("executor", str(how["executor"]), EXECUTORS)
    ray = how["executor"] == "ray"
    for name, default in (("address", None), ("gpus_per_run", 0.0)):
        if not ray and how[name] != default:
            raise UsageError(f"{name.replace('_', '-')} is an option of --executor ray, got --executor local")
    if ray and how["jobs"] != 1:
        raise UsageError("jobs is an option of --executor local; a Ray cluster has as many as its processors allow")
    if how.get("shard") is not None:
        _read_shard(how["shard"])


def require_alone(how: Mapping[str, Any], tunes: bool) -> None:
    """Require devices that one run may have, and nothing beside a run that uses several.

    Args:
        how: The arguments of ``bench.run`` by name.
        tunes: Whether methods are tuned first.

    Raises:
        UsageError: For anything else.
    """
    require_strategy(how["strategy"], how["devices"])
    if how["strategy"] is None:
        return
    refused = {
        "several jobs": how["jobs"] != 1,
        "a Ray cluster": how["executor"] == "ray",
        "measure-in inline": how["measure_in"] == "inline",
        "tune-all": tunes,
    }
    for name, given in refused.items():
        if given:
            strategy = how["strategy"]
            raise UsageError(f"--strategy {strategy} runs one model at a time in its own processes, without {name}")


def make_executor(how: Mapping[str, Any]) -> "Executor | None":
    """The executor of a call.

    Args:
        how: The arguments of ``bench.run`` or ``bench.sweep`` by name.

    Returns:
        The executor; None to execute everything in this process.

    Raises:
        UsageError: For a wrong number, or if Ray is not installed.
    """
    if how["executor"] == "ray":
        from bench.runs.executors.ray_cluster import RayExecutor

        return RayExecutor(how["address"], how["gpus_per_run"])
    if how["jobs"] == 1:
        return None
    from bench.runs.executors.local import LocalExecutor

    return LocalExecutor(how["jobs"])


def share_of(specs: Sequence[tuple["RunSpec", int | None]], shard: str) -> list[tuple["RunSpec", int | None]]:
    """A share of a suite's runs. Runs that differ in their seed alone stay together, because they share their costs.

    Args:
        specs: All runs, each with the number of trials of its tuning.
        shard: ``I/N``, the share and the number of shares.

    Returns:
        The runs of the share. A run that others are matched to is in every share that needs it.

    Raises:
        UsageError: For another text.
    """
    share, shares = _read_shard(shard)
    keys: dict[str, int] = {}
    for spec, _ in specs:
        keys.setdefault(_without_seed(spec), len(keys))
    chosen = [(spec, trials) for spec, trials in specs if keys[_without_seed(spec)] % shares == share - 1]
    needed = {reference.model_dump_json() for spec, _ in chosen if (reference := spec.reference()) is not None}
    there = {spec.model_dump_json() for spec, _ in chosen}
    return [each for each in specs if each[0].model_dump_json() in there | needed]


def _without_seed(spec: "RunSpec") -> str:
    return spec.model_dump_json(exclude={"seed"})


def _read_shard(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", str(text).strip())
    share, shares = map(int, found.groups()) if found else (0, 0)
    if not 1 <= share <= shares <= MOST_SHARES:
        raise UsageError(f"shard needs I/N with I from 1 to N, such as 2/8, got {shown(text)}")
    return share, shares
