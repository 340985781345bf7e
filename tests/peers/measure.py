"""Measuring a row: both programs in turn, medians of the rounds, and whether their results agree."""

import statistics
import time
from collections.abc import Callable
from typing import Any

from bench.meters.memory import garbage_collection_frozen
from tests.peers.row import NotRunError, Place, Row, Timed


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of a call, and its result."""
    began = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - began
    return (result.seconds, result.result) if isinstance(result, Timed) else (seconds, result)


def measured(row: Row, place: Place) -> dict[str, Any]:
    """The row as it goes into the JSON file; a failure is part of it, so that other rows are not lost."""
    found: dict[str, Any] = {
        "name": f"{row.peer}: {row.work}", "unit": "times as fast", "row": row.name, "peer": row.peer,
        "work": row.work, "goal": row.goal,
    }  # fmt: skip
    try:
        return found | _numbers(row, place)
    except NotRunError as reason:
        return found | {"status": "not run", "why": str(reason)}
    except Exception as error:
        return found | {"status": "failed", "why": f"{type(error).__name__}: {error}"[-2000:]}


def _numbers(row: Row, place: Place) -> dict[str, Any]:
    ready = row.make(place)
    if ready.warm and not place.quick:
        ready.warm()
    ours, peer = [], []
    # As the runner does: a stage's meter collects garbage, which must not count what is loaded.
    with garbage_collection_frozen():
        for number in range(1 if place.quick else ready.rounds):
            # Who is first changes, so that neither always finds the machine warmer.
            for way in ("ours", "peer") if number % 2 == 0 else ("peer", "ours"):
                if way == "ours":
                    seconds, our_result = timed(ready.ours)
                    ours.append(seconds / ready.ours_share)
                else:
                    seconds, peer_result = timed(ready.peer)
                    peer.append(seconds / ready.peer_share)
    checks = list(ready.compare(our_result, peer_result))
    if tuple(check.name for check in checks) != row.checks:
        raise ValueError(f"{row.name} declares the checks {row.checks}, made {[check.name for check in checks]}")
    ratio = statistics.median(peer) / statistics.median(ours)
    reason = row.reason if ratio < row.goal else ""
    return {
        "status": "ok" if all(check.passed for check in checks) else "disagrees",
        "value": round(ratio, 4),
        "extra": f"at least {row.goal:.3g}; ours {statistics.median(ours):.4g} s",
        "ours": ours,
        "peer_seconds": peer,
        "checks": [vars(check) for check in checks],
        "note": ready.note,
        "reason": reason,
    }
