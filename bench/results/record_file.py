"""Reading of one record's file: earlier schemas are migrated, and every field is checked."""

from pathlib import Path

from pydantic import ValidationError

from bench.contracts.errors import StoreError
from bench.results.record import SCHEMA_VERSION, Record, run_id
from bench.results.record_text import DIGEST, record_content, require_digest


def read_record(path: Path) -> Record:
    """Read one record; earlier schemas are migrated.

    Args:
        path: Its file.

    Returns:
        The record.

    Raises:
        StoreError: If the file is not a record of a known schema.
    """
    try:
        content = written = record_content(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}; check its permissions and its disk") from None
    except ValueError as error:
        raise StoreError(f"{path} is not a readable record ({error}); delete it to run again") from None
    version = content.get("schema_version")
    if version == SCHEMA_VERSION:
        content = {name: value for name, value in written.items() if name != DIGEST}
    else:
        from bench.results.migrations import MIGRATIONS  # which most stores are read without

        try:
            while type(version) is int and version in MIGRATIONS:
                content = MIGRATIONS[version](content)
                version = content["schema_version"]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise StoreError(
                f"{path} is not a valid record of schema {version}: {type(error).__name__}: {error}; "
                "delete it to run again"
            ) from None
    if version != SCHEMA_VERSION:
        raise StoreError(f"{path} has schema version {version}, this program reads {SCHEMA_VERSION}")
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise StoreError(f"{path} is not a valid record: {field}: {first['msg']}; delete it to run again") from None
    if not path.stem.partition("-")[0] == record.id == run_id(record.identity):
        raise StoreError(f"{path} is named by another id than its run has; delete it to run again")
    try:
        require_digest(written)
    except ValueError as error:
        raise StoreError(f"{path} is not as it was written: {error}; delete it to run again") from None
    return record
