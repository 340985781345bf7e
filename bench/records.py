"""The record of a run: its schema, and the store that keeps one JSON file per run.

A record's id is a hash of everything that changes its value, so that a finished run is found again and a
changed one is not taken for it. Files are written whole or not at all.
"""

import hashlib
import json
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.costs import Costs
from bench.errors import StoreError
from bench.migrations import MIGRATIONS
from bench.spec import RunSpec

SCHEMA_VERSION: Literal[2] = 2
Status = Literal["ok", "over_budget", "skipped", "failed"]


class Record(BaseModel):
    """The result of a run, and all that is needed to trace it.

    limits: the budget that it was held to, by axis. excesses: the axes that it did not keep, with what was measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[2] = SCHEMA_VERSION
    id: str
    spec: RunSpec
    identity: dict[str, Any]
    status: Status
    reason: str = ""
    metric: str = "accuracy"
    value: float | None = None
    ci95: float | None = None
    episode_scores: list[float] = []
    n_queries: int = 0
    costs: Costs | None = None
    limits: dict[str, float] = {}
    excesses: dict[str, float] = {}
    notes: dict[str, Any] = {}
    provenance: dict[str, Any] = {}


def run_id(identity: dict[str, Any]) -> str:
    """Hash of a run's identity: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


class Store:
    """A folder of records."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, record_id: str) -> Path:
        """Where a record lies."""
        return self.root / f"{record_id}.json"

    def read(self, path: Path) -> Record:
        """One record. Raises StoreError if the file is not a record of this schema."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} is not a readable record ({error}); delete it to run again") from None
        version = content.get("schema_version") if isinstance(content, dict) else None
        while version in MIGRATIONS:
            content = MIGRATIONS[version](content)
            version = content["schema_version"]
        if version != SCHEMA_VERSION:
            raise StoreError(f"{path} has schema version {version}, this program reads {SCHEMA_VERSION}")
        try:
            record = Record.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise StoreError(f"{path} is not a valid record: {field}: {first['msg']}; delete it to run again") from None
        if not path.stem == record.id == run_id(record.identity):
            raise StoreError(f"{path} holds another run than its name says; delete it to run again")
        return record

    def finished(self, record_id: str) -> Record | None:
        """The record of a run that needs no second try; a failed one does."""
        path = self.path(record_id)
        if not path.exists():
            return None
        record = self.read(path)
        return None if record.status == "failed" else record

    def prepare(self) -> None:
        """Make the folder. Raises StoreError if no file can be made in it, better now than after the work."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.root).close()
        except OSError as error:
            raise StoreError(f"no record can be written to {self.root}: {error.strerror}; use --store DIR") from error

    def write(self, record: Record) -> None:
        """Write a record whole or not at all. Raises StoreError if the disk refuses it."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            temporary = self.root / f".{record.id}-{uuid.uuid4().hex}.tmp"
            try:
                with temporary.open("w", encoding="utf-8") as file:
                    file.write(record.model_dump_json(indent=1))
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(self.path(record.id))
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"record cannot be written to {self.root}: {error}; free space or use --store DIR"
            ) from error

    def __iter__(self) -> Iterator[Record]:
        """All records, in the order of their ids. Raises StoreError if there is none, or a damaged one."""
        paths = sorted(self.root.glob("*.json"))
        if not paths:
            raise StoreError(f"no records in {self.root}; run 'bench run' first, or use --store DIR")
        for path in paths:
            yield self.read(path)
