"""Records whose times were measured beside other processes, and alone."""

from bench.spec.conditions import Conditions
from tests.helpers.records import COSTS, made

BUSY = Conditions(
    host="here", cpu="made up", cores=2, threads=2, memory_mb=1000, wall_seconds=10.0, cpu_seconds=10.0,
    others_cpu_seconds=12.0,
)  # fmt: skip
IN_COMPANY = COSTS.model_copy(update={"conditions": BUSY})
ALONE = COSTS.model_copy(update={"conditions": BUSY.model_copy(update={"others_cpu_seconds": 0.1})})
REASON = "other processes used 60% of 2 cores"


def two_rows():
    return [made({"method": "busy"}, costs=IN_COMPANY), made({"method": "quiet"}, costs=ALONE)]
