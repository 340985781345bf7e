"""Where a number comes from: code, versions, device."""

import ast
import hashlib
import platform
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

import torch

import bench

HARNESS = (
    "bench.engine.lightning_module",
    "bench.data.batches",
    "bench.data.episodes",
    "bench.data.features",
    "bench.runs.scoring",
    "bench.runs.single_run",
    "bench.metrics._scores",
)
"""Modules of the harness that change a value; tables, records and trackers do not."""
LIBRARIES = (
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "tokenizers",
    "open_clip_torch",
    "peft",
    "faiss-cpu",
    "sacrebleu",
    "lightning",
)
"""Libraries whose version can change a value."""


def _source(module: str) -> Path | None:
    try:
        spec = find_spec(module)
    except (ModuleNotFoundError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _imports(tree: ast.AST, package: str) -> Iterable[str]:
    """Names of what a module of ``package`` imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _without_docstrings(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0].value.value = ""
    return tree


@cache
def code_fingerprint(modules: tuple[str, ...]) -> str:
    """Hash of the code of ``modules`` and of all they import from their own packages and from this project.

    Comments, docstrings and layout do not count; editing a method makes its old records another run's.
    """
    packages = {"bench", "methods", "tasks"} | {module.partition(".")[0] for module in modules}
    waiting, seen, digest = list(modules), set[str](), {}
    while waiting:
        module = waiting.pop()
        if module in seen or module.partition(".")[0] not in packages:
            continue
        seen.add(module)
        path = _source(module)
        if path is None:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        waiting.extend(_imports(tree, module if path.stem == "__init__" else module.rpartition(".")[0]))
        digest[module] = hashlib.sha256(ast.dump(_without_docstrings(tree)).encode()).hexdigest()
    return hashlib.sha256(repr(sorted(digest.items())).encode()).hexdigest()[:16]


def library_versions() -> dict[str, str]:
    """Versions of the libraries that can change a value."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def git_revision() -> str | None:
    """Commit of the harness's checkout, with ``-dirty`` where it was changed; None outside a checkout."""
    folder = Path(bench.__file__).parent
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
    """What drives an accelerator: torch's CUDA and the kernel module's version, where there are any."""
    found = {"cuda": str(torch.version.cuda)} if torch.version.cuda and torch.cuda.is_available() else {}
    module = Path("/proc/driver/nvidia/version")
    if module.is_file():
        found["driver"] = module.read_text(encoding="utf-8").splitlines()[0]
    return found


def provenance(device: str) -> dict[str, Any]:
    """What a record says about where and how it was made."""
    return {
        "bench": bench.__version__,
        "git": git_revision(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device,
        "threads": torch.get_num_threads(),
        "command": sys.argv,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        **library_versions(),
        **driver(),
    }
