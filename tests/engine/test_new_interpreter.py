"""A new interpreter that a cluster has started: it is no rank, and as a server it leaves CUDA's driver alone.

Only one that has imported nothing yet shows both, and importing takes seconds: one serves both tests.
"""

import os
import shutil
import subprocess
import sys

import pytest
import torch

from bench.testing.tiny_models import save_model
from tests.helpers.places import ROOT

pytestmark = pytest.mark.slow
THIRD = {"SLURM_NTASKS": "8", "SLURM_PROCID": "3", "SLURM_LOCALID": "3", "SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "runs"}
"""Variables of one of eight processes."""
STARTED = 77
DRIVER = f"""
#include <string.h>
#include <unistd.h>
int cuInit(unsigned flags) {{ _exit({STARTED}); }}
static int nothing(void) {{ return 0; }}
static int version(int *found) {{ *found = 13020; return 0; }}
int cuGetProcAddress_v2(const char *name, void **found, int version_, unsigned long long flags, int *status) {{
    if (status) *status = 0;
    *found = !strcmp(name, "cuInit") ? (void *)cuInit : !strcmp(name, "cuDriverGetVersion") ? (void *)version
           : !strcmp(name, "cuGetProcAddress") ? (void *)cuGetProcAddress_v2 : (void *)nothing;
    return 0;
}}
int cuGetProcAddress(const char *name, void **found, int version_, unsigned long long flags) {{
    return cuGetProcAddress_v2(name, found, version_, flags, 0);
}}
int cuDriverGetVersion(int *found) {{ return version(found); }}
"""
"""A driver that ends any process that starts it."""
PROGRAM = """
import sys
from functools import partial
import torch
torch.cuda._device_count_nvml = lambda: 1  # as a machine with a GPU and its management library answers
from bench import registry
from bench.engine.trainer import DeviceOptions, rank_zero_only
from bench.engine.worker_server import serve

class Closed:
    def recv_bytes(self):
        raise EOFError

trainer = DeviceOptions(accelerator="cpu").trainer()
print(rank_zero_only.rank, trainer.global_rank, trainer.world_size, flush=True)
def run(name):
    backbone = registry.load_backbone(name)
    backbone.require_runnable()
    return backbone

for make in (registry.load_backbone, run):
    serve(Closed(), partial(make, f"hf:{sys.argv[1]}"), 1)
    print("served", flush=True)
"""
"""Ranks, then a server that loads a model, as servers do, and one that also runs it, which starts the driver."""


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The program, after its end."""
    folder = tmp_path_factory.mktemp("driver")
    if shutil.which("cc") is not None:
        (folder / "driver.c").write_text(DRIVER)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "libcuda.so.1", folder / "driver.c"], check=True)
    command = [sys.executable, "-c", PROGRAM, save_model(folder / "model", "llama")]
    environment = os.environ | THIRD | {"LD_LIBRARY_PATH": str(folder)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_each_process_that_a_cluster_starts_logs_and_is_no_rank_of_one_run(ended):
    assert ended.stdout.splitlines()[:1] == ["0 0 1"], ended.stderr


@pytest.mark.skipif(shutil.which("cc") is None or torch.version.cuda is None, reason="needs a C compiler and CUDA")
def test_a_server_that_loads_a_language_model_starts_no_driver(ended):
    assert (ended.stdout.splitlines()[1:], ended.returncode) == (["served"], STARTED), ended.stderr
