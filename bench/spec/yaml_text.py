"""Strict YAML 1.2 of users: suites, configs of sweeps, studies, and values of options.

Scalars are those of the core schema: ``010`` is 10, ``1:30``, ``yes`` and dates are texts. Refused is everything that a
reader could lose or that a program cannot hold: keys given twice, numbers that are not finite, aliases that expand to
more than a file could hold, deep nesting, other tags, more than one document.
"""

import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml

from bench.contracts.errors import UsageError, one_line, shown
from bench.toolkit.files import require_regular

MOST_CHARACTERS = 1_000_000
DEEPEST = 50
"""Deepest nesting of lists and mappings."""
MOST_VALUES = 100_000
"""Largest number of values, each use of an alias counted with all that it stands for."""
LARGEST = 2**63
"""Whole numbers lie below this, and above its negative."""

_TAG = "tag:yaml.org,2002:"
_SCALARS = (
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    ("int", re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789")),
    (
        "float",
        re.compile(r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"),
        list("-+.0123456789"),
    ),
    ("merge", re.compile(r"^<<$"), ["<"]),
)  # fmt: skip

_PATTERNS = {name: pattern for name, pattern, _ in _SCALARS}

Place = tuple[str | int, ...]
_Parser: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class _Loader(_Parser):  # type: ignore[misc]
    """A parser that resolves scalars by the core schema of YAML 1.2."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {
        first: [(_TAG + name, pattern) for name, pattern, starts in _SCALARS if first in starts]
        for first in sorted({start for *_, starts in _SCALARS for start in starts})
    }


@dataclass(frozen=True)
class YamlFile:
    """Fields of a file and the lines that they stand on.

    Attributes:
        fields: The content.
        lines: Line of each field, by its place: keys and positions from the outermost.
        text: The text itself.
    """

    fields: dict[str, Any]
    lines: dict[Place, int]
    text: str


@dataclass
class _Reader:
    """The content of one text; a ValueError names the line and the field at fault."""

    lines: dict[Place, int] = field(default_factory=dict)
    values: int = 0

    def read(self, text: str) -> Any:
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"needs {MOST_CHARACTERS:,} characters at most, got {len(text):,}")
        _require_unicode(text)
        depth = 0
        # One event at a time, so that no parser follows a nesting that is refused.
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise ValueError(f"line {line}: needs {DEEPEST} levels of nesting at most")
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
        return None if node is None else self.value(node, ())

    def value(self, node: yaml.Node, place: Place) -> Any:
        self.values += 1
        if self.values > MOST_VALUES or len(place) > DEEPEST:
            what = f"needs aliases that stand for {MOST_VALUES:,} values at most, none of them for itself"
            raise self.fault(node, place, what)
        self.lines[place] = node.start_mark.line + 1
        kind = node.tag.removeprefix(_TAG)
        match node:
            case yaml.MappingNode() if kind == "map":
                return self.mapping(node, place)
            case yaml.SequenceNode() if kind == "seq":
                return [self.value(item, (*place, number)) for number, item in enumerate(node.value)]
            case yaml.ScalarNode() if kind in {"str", "null", "bool", "int", "float"}:
                return self.scalar(node, kind, place)
        raise self.fault(node, place, f"has the unknown tag {shown(node.tag)}; leave it out")

    def mapping(self, node: yaml.MappingNode, place: Place) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                parts = self.value(value_node, place)
                for part in parts if isinstance(parts, list) else [parts]:
                    if not isinstance(part, dict):
                        raise self.fault(key_node, place, "merges by << what is no mapping")
                    merged = part | merged
                continue
            key = self.value(key_node, place)
            if not isinstance(key, str | int | float):
                raise self.fault(key_node, place, f"needs names as keys, got {shown(key, 40)}")
            inside = (*place, key if isinstance(key, str | int) else str(key))
            if key in found:
                raise self.fault(key_node, inside, "is given twice; leave one out")
            found[key] = self.value(value_node, inside)
            self.lines[inside] = key_node.start_mark.line + 1  # what it holds may begin below it
        return {**merged, **found}

    def scalar(self, node: yaml.ScalarNode, kind: str, place: Place) -> Any:
        text: str = node.value
        if kind == "str":
            _require_unicode(text)
            return text
        if not _PATTERNS[kind].match(text):  # a tag that the text does not fit
            raise self.fault(node, place, f"has the tag {kind}, got {shown(text, 40)}")
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        number: float = math.inf
        with suppress(ValueError):  # of infinity, and of whole numbers with thousands of digits
            number = float(text) if kind == "float" else int(text, 0 if text[:2] in {"0o", "0x"} else 10)
        if abs(number) >= LARGEST if isinstance(number, int) else not math.isfinite(number):
            raise self.fault(node, place, f"needs a finite number within 64 bits, got {shown(text, 40)}")
        return number

    def fault(self, node: yaml.Node, place: Place, what: str) -> ValueError:
        name = ".".join(map(str, place))
        return ValueError(f"line {node.start_mark.line + 1}: {f'{shown(name, 80)[1:-1]} ' if name else ''}{what}")


def _require_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"character {error.start + 1} is a lone surrogate, which no text can hold") from None


def _parsed(text: str) -> tuple[Any, dict[Place, int]]:
    """The content of a YAML text, and the lines of its fields. Raises ValueError in one line."""
    reader = _Reader()
    try:
        return reader.read(text), reader.lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{place}{error.problem or error.context or 'not YAML'}") from None
    # The parser raises other errors than its own too, and none of them is a defect of this program.
    except ValueError as error:
        raise ValueError(one_line(error)) from None
    except (yaml.YAMLError, RecursionError, OverflowError, LookupError, AttributeError, TypeError) as error:
        raise ValueError(f"not YAML: {one_line(error)}") from None


def yaml_value(text: str) -> Any:
    """The value of an option.

    Args:
        text: YAML.

    Returns:
        The value.

    Raises:
        ValueError: For other text, in one line.
    """
    try:
        return _parsed(text)[0]
    except ValueError as error:
        reason = str(error).removeprefix("line 1: ")
        raise ValueError(f"needs a value in YAML, got {shown(text, 60)} ({reason})") from None


def read_yaml(path: Path, what: str, needed: str = "a mapping of fields") -> YamlFile:
    """Read a mapping from a YAML file.

    Args:
        path: The file.
        what: Name of its content, for messages.
        needed: The requirement, for messages.

    Returns:
        The mapping, with the lines of its fields.

    Raises:
        UsageError: If the file is unreadable or holds no mapping.
    """
    try:
        with require_regular(path).open("rb") as file:  # a character takes four bytes at most
            text = file.read(4 * MOST_CHARACTERS + 4).decode("utf-8-sig")
        content, lines = _parsed(text)
    except OSError as error:
        raise UsageError(f"no {what} can be read from {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        byte = f"byte {error.start + 1} is {error.object[error.start]:#04x}"
        raise UsageError(f"{what} {path} is not valid YAML: it is not UTF-8, {byte}") from None
    except ValueError as error:
        raise UsageError(f"{what} {path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{what} {path} needs {needed}, got {type(content).__name__}")
    if odd := [key for key in content if not isinstance(key, str)]:
        raise UsageError(f"{what} {path} needs {needed}, got the key {shown(odd[0])}")
    return YamlFile(content, lines, text)


def yaml_text(fields: dict[str, Any]) -> str:
    """A mapping as YAML that ``read_yaml`` reads back unchanged.

    Args:
        fields: Plain values: texts, numbers, lists and mappings.

    Returns:
        The text.
    """
    return yaml.dump(fields, Dumper=_Dumper, sort_keys=False)


class _Dumper(yaml.SafeDumper):
    """A writer that quotes by the core schema of YAML 1.2, and knows no aliases."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        return True
