"""Text of a record's file: strict JSON with a digest, by which a change of any field is found."""

import hashlib
import json
import math
from typing import Any

from bench.results.record import Record
from bench.toolkit.json_names import unique_names

DIGEST = "digest"
"""Name of the field with the hash of all others."""
DIGEST_SINCE = 6
"""First schema whose files have a digest."""


def digest_of(content: dict[str, Any]) -> str:
    """Hash of a record's fields, whatever their order and the spaces between them.

    Args:
        content: The fields as JSON has them.

    Returns:
        64 hexadecimal digits.
    """
    fields = {name: value for name, value in content.items() if name != DIGEST}
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def record_text(record: Record) -> str:
    """The text of a record's file.

    Args:
        record: The record.

    Returns:
        JSON, with the digest as its last field.
    """
    try:
        text = record.model_dump_json()
    except ValueError:  # a lone surrogate, such as of a file's name in a reason
        text = Record.model_validate(_writable(record.model_dump())).model_dump_json()
    content = json.loads(text)
    return json.dumps({**content, DIGEST: digest_of(content)}, indent=1, ensure_ascii=False)


def record_content(text: str) -> dict[str, Any]:
    """The fields of a record's file; whether the digest fits them is checked by ``require_digest``.

    Args:
        text: JSON.

    Returns:
        Fields by name, the digest among them.

    Raises:
        ValueError: For what is no object of JSON, for numbers that are not finite and for names given twice.
    """
    try:
        content = json.loads(text, object_pairs_hook=unique_names, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise ValueError("its nesting is too deep") from None
    if not isinstance(content, dict):
        raise ValueError(f"a record is an object, got {type(content).__name__}")
    return content


def require_digest(content: dict[str, Any]) -> None:
    """Require that the fields of a file are those that were written.

    Args:
        content: The fields, before any migration.

    Raises:
        ValueError: If they are not.
    """
    given, version = content.get(DIGEST), content.get("schema_version")
    if isinstance(version, int) and version < DIGEST_SINCE and DIGEST not in content:
        return
    if given != digest_of(content):
        raise ValueError("its digest is that of other contents: a field was changed after it was written")


def record_schema() -> dict[str, Any]:
    """JSON Schema of a record's file."""
    schema = Record.model_json_schema()
    description = "SHA-256 of all other fields, as JSON with sorted names and without spaces."
    schema["properties"][DIGEST] = {"description": description, "pattern": "^[0-9a-f]{64}$", "type": "string"}
    return schema


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"numbers must be finite, got {text[:40]}")
    return number


def _writable(value: Any) -> Any:
    """A value whose texts UTF-8 can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_writable(key): _writable(each) for key, each in value.items()}
    return [_writable(each) for each in value] if isinstance(value, list | tuple) else value
