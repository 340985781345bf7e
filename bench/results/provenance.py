"""Provenance of a record: commit, versions, device, host, command and time. No part of it is in the identity."""

import platform
import socket
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch

from bench import registry
from bench.results.contract_status import contract_status
from bench.spec.resolve import ResolvedRun
from bench.toolkit.secrets import scrubbed_command
from bench.toolkit.versions import library_versions
from bench.toolkit.visible import visible
from bench.version import __version__


@cache
def git_revision() -> str | None:
    """Commit of the harness's checkout, with ``-dirty`` where it was changed; None outside a checkout."""
    folder = Path(__file__).parents[1]
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


@cache
def driver() -> dict[str, str]:
    """Driver of an accelerator: torch's CUDA and the kernel module's version, if there are any."""
    found = {"cuda": str(torch.version.cuda)} if torch.version.cuda and torch.cuda.is_available() else {}
    module = Path("/proc/driver/nvidia/version")
    if module.is_file():
        found["driver"] = module.read_text(encoding="utf-8").splitlines()[0]
    return found


def provenance(device: str) -> dict[str, Any]:
    """Facts about the making of a record.

    Args:
        device: Model of the device, as in ``DeviceOptions.device_name``.

    Returns:
        Facts by name, for a JSON file.
    """
    return {
        "bench": __version__,
        "git": git_revision(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "device": device,
        "threads": torch.get_num_threads(),
        "command": [visible(word) for word in scrubbed_command(sys.argv)],
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        **library_versions(),
        **driver(),
    }


def method_facts(run: ResolvedRun) -> dict[str, Any]:
    """What a reader of a row must know of its method: whether it is transductive and passed the contract suite.

    Args:
        run: The run.

    Returns:
        ``contract``, see ``contract_status``, and ``transductive``.
    """
    plugin = registry.get("methods", run.spec.method)
    return {"contract": contract_status(plugin), "transductive": run.method.transductive}
