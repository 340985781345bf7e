"""Reading of many records: from the index of their store where their files did not change, else from the files."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from bench.contracts.errors import StoreError
from bench.results.index import LEAST_RECORDS, Index, code_stamp, is_settled
from bench.results.record import Record
from bench.results.record_file import read_record
from bench.toolkit.collection import without_collection

_BATCH = 2000
"""Records whose contents are in memory at once."""


def read_records(root: Path, files: Mapping[str, str], whole: bool = False) -> dict[str, Record | StoreError]:
    """Read records.

    Args:
        root: Folder of the store.
        files: Names of files of records with their stamps, which were taken before.
        whole: Whether these are all records of the store, so that the index need not keep others.

    Returns:
        The record of each file, or the error of one that is none, in order.
    """
    if len(files) < LEAST_RECORDS:
        return {name: _read(root / name) for name in files}
    with without_collection():
        return _read_all(root, files, whole)


def _read_all(root: Path, files: Mapping[str, str], whole: bool) -> dict[str, Record | StoreError]:
    index, code, names = Index(root), code_stamp(), list(files)
    found: dict[str, Record | StoreError] = {}
    written = False
    for start in range(0, len(names), _BATCH):
        given = {name: f"{code}:{files[name]}" for name in names[start : start + _BATCH]}
        known, new = index.find("records", given), dict[str, tuple[str, bytes]]()
        for name, text in given.items():
            record = _indexed(name, known[name]) if name in known else None
            found[name] = record or _read(root / name)
            made = found[name]
            if record is None and isinstance(made, Record) and is_settled(files[name]):
                with suppress(ValueError):  # a text that UTF-8 cannot hold is read from its file
                    new[name] = text, made.model_dump_json().encode()
        if new:
            index.keep("records", new)
            written = True
    if written and whole:
        index.keep("records", {}, files)
    return found


def _read(path: Path) -> Record | StoreError:
    try:
        return read_record(path)
    except StoreError as error:
        return error


def _indexed(name: str, content: bytes) -> Record | None:
    """A record of the index; None where it is not that of a file's name."""
    try:
        record = Record.model_validate_json(content)
    except ValidationError:
        return None
    return record if f"{record.id}.json" == name else None
