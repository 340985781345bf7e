"""What runs and tests import, for the process that tests/helpers/preloaded.py forks; it keeps to one thread."""

import atexit
import gc
import os
import sys
from importlib import import_module

from tests.helpers import unflushed

MODULES = (
    "datasets", "lightning.pytorch", "nbclient", "optuna", "pandas", "peft", "plotly", "pyarrow", "pytest",
    "setuptools.build_meta", "sklearn.datasets", "sklearn.linear_model", "timm", "torchvision", "transformers", "wandb",
    "bench.api", "bench.api.call", "bench.backbones.efficientnet_lite0", "bench.backbones.hf", "bench.cli.app",
    "bench.engine.worker_server", "bench.reports.rows", "bench.reports.tables", "bench.runs.progress",
    "bench.runs.runner", "bench.testing.method_contract", "methods.faast", "sweeps.study",
)  # fmt: skip
os.fsync = unflushed.done
PATH = [place for place in sys.path if place]
"""Where this interpreter finds modules, but for the current folder."""

gc.disable()  # nothing of it is garbage
for name in MODULES:
    import_module(name)
gc.enable()

PID = os.getpid()
# At its end, libraries would report what the frozen garbage below keeps; forks run their own functions of atexit only.
atexit.register(lambda: os.getpid() == PID and os._exit(0))
# Collections of garbage would write to, and so copy, memory that the forks share.
gc.collect()
gc.freeze()
