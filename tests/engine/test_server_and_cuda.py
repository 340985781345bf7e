"""The process whose forks measure leaves CUDA's driver alone: a made-up driver ends any process that starts it."""

import shutil
import subprocess
import sys

import pytest
import torch

from bench.testing.tiny_models import save_model

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
SERVE = """
import sys
from functools import partial
import torch
torch.cuda._device_count_nvml = lambda: 1  # as a machine with a GPU and its management library answers
from bench import registry
from bench.engine.worker_server import serve

class Closed:
    def recv_bytes(self):
        raise EOFError

for make in (registry.load_backbone, registry.make_backbone):
    serve(Closed(), partial(make, f"hf:{sys.argv[1]}"), 1)
    print("served", flush=True)
"""
"""A server that loads a model, as servers do, and one that also makes it ready to run, which starts the driver."""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None or torch.version.cuda is None, reason="needs a C compiler and CUDA")
def test_a_server_that_loads_a_language_model_starts_no_driver(tmp_path, monkeypatch):
    (tmp_path / "driver.c").write_text(DRIVER)
    library = tmp_path / "libcuda.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "driver.c"], check=True)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    folder = save_model(tmp_path / "model", "llama")
    done = subprocess.run([sys.executable, "-c", SERVE, folder], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("served\n", STARTED), done.stderr
