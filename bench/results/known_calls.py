"""Calls of which every run is recorded, kept beside the store: repeating one imports neither torch nor a plugin.

The id of a run needs its task's data and its backbone's weights, which take seconds to load. What a call's ids were is
therefore kept with a hash of everything that they follow from: the suite, all source files of this project, the
installed packages, and the devices. A call that differs in any of it, or has a run without a record, is planned anew.
"""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import own_packages, registry
from bench.contracts.errors import StoreError, UsageError
from bench.contracts.sequence import task_names
from bench.plugin import OWN
from bench.results.record import Record
from bench.results.store import Store
from bench.spec.suite import Block, Suite
from bench.toolkit.durable import make_folder, write_atomic
from bench.toolkit.files import file_hash, user_path

FOLDER = ".calls"
"""Folder of known calls in a store."""
_SOURCES = frozenset({".py", ".yaml", ".json"})
_INSTALLED = (".dist-info", ".egg-info", ".egg-link", ".pth")
_DEVICES = ("nvidia*", "kfd", "dxg", "accel*")
"""Names in /dev of accelerators."""
_DEVICE_VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "PJRT_DEVICE")


@dataclass(frozen=True)
class KnownCall:
    """A call whose ids may be kept.

    Attributes:
        store: Store of the records.
        key: Hash of the call.
        environment: Hash of everything else that its runs' ids follow from.
    """

    store: Store
    key: str
    environment: str

    @classmethod
    def of(cls, suite: Suite, store: Store, options: Mapping[str, Any]) -> "KnownCall | None":
        """A call whose data and weights change with the installed packages alone.

        Args:
            suite: The runs.
            store: Store of the records.
            options: Further options that an id follows from, by name.

        Returns:
            The call; None where its ids may change otherwise: plugins of other packages, names with an argument that
            may be a folder or a model of a hub, and methods that are tuned first.
        """
        if not all(map(_is_packaged, suite.blocks)):
            return None
        blocks = [block.model_dump(mode="json") for block in suite.blocks]
        files = {str(path): file_hash(path) for block in suite.blocks for path in _files(_values(block))}
        return cls(
            store, _hash(json.dumps([blocks, files, dict(options)], sort_keys=True, default=str)), _environment()
        )

    @property
    def path(self) -> Path:
        """File of the call."""
        return self.store.root / FOLDER / f"{self.key[:16]}.json"

    def records(self) -> list[Record] | None:
        """Records of the call, in the order of its runs.

        Returns:
            The records; None unless all of them are known and finished.
        """
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content != self._content(content["ids"]):
                return None
            return self.store.all_finished(content["ids"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError, StoreError):
            return None

    def keep(self, records: Sequence[Record]) -> None:
        """Keep the ids of the call's runs, unless one failed or a source file was changed meanwhile.

        Args:
            records: The record of each run, in order.
        """
        if any(record.status == "failed" for record in records) or _environment() != self.environment:
            return
        content = self._content([record.id for record in records])
        with suppress(OSError):  # a store that cannot be written to is read more slowly, and no worse
            make_folder(self.path.parent)
            write_atomic(self.path, json.dumps(content, indent=1))

    def _content(self, ids: Sequence[str]) -> dict[str, Any]:
        """Content of the file: the key has all facts and the ids, so that a damaged file is not used."""
        return {"key": _hash(json.dumps([self.key, self.environment, ids])), "ids": ids}


def _is_packaged(block: Block) -> bool:
    """Whether the data, weights and methods of a block are all of installed packages."""
    tasks = task_names(block.task)
    names: list[tuple[registry.Group, str]] = [("tasks", task) for task in tasks]
    names += [("methods", registry.method_name(name)[0]) for name in block.methods]
    if block.match is not None:
        names.append(("methods", registry.method_name(block.match.partition(":")[0])[0]))
    if block.backbone is not None:
        names.append(("backbones", block.backbone))
    try:
        own = all(registry.get(group, name).origin == OWN for group, name in names)
    except UsageError:
        return False
    # Of a task with variants the argument is one of them, of another it may name a file.
    with_path = any(":" in task and not registry.get("tasks", task).variants() for task in tasks)
    return own and ":" not in (block.backbone or "") and not with_path and not block.tune_all


def _values(block: Block) -> list[Any]:
    """Values of fields of methods, by method."""
    return [*block.set.values(), *block.vary.values()]


def _files(values: Iterable[Any]) -> list[Path]:
    """The files that values of fields name."""
    found = []
    for value in values:
        if isinstance(value, Mapping):
            found += _files(value.values())
        elif isinstance(value, list):
            found += _files(value)
        elif isinstance(value, str | Path):
            with suppress(OSError, UsageError):  # no name of a file
                found += [path for path in [user_path(value)] if path.is_file()]
    return found


def _environment() -> str:
    """Hash of source files, installed packages, and visible devices."""
    sources = hashlib.sha256()
    for package in ("bench", *own_packages.NAMES):
        folder = own_packages.folder(package)
        for path in sorted(each for each in folder.rglob("*") if each.suffix in _SOURCES):
            sources.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    installed = sorted({name for folder in map(Path, sys.path) for name in _names(folder) if name.endswith(_INSTALLED)})
    devices = sorted(path.name for pattern in _DEVICES for path in Path("/dev").glob(pattern))
    variables = [os.environ.get(name) for name in _DEVICE_VARIABLES]
    system = [platform.system(), platform.machine(), platform.python_version()]
    return _hash(json.dumps([sources.hexdigest(), installed, devices, variables, system]))


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:  # a zip file, or no folder
        return []


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
