"""Generated inputs for the readers of open-ended formats: texts of users, images, names in reports."""

import io
import random
import re
import string
import time
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from PIL import Image

from bench.backbones._images import to_rgb
from bench.contracts.errors import BenchError, DataError
from bench.contracts.validation import validated
from bench.reports.markdown import markdown_text
from bench.results.csv_cells import csv_cell
from bench.spec.budget import budget_of, parse_match
from bench.spec.list_texts import read_seeds, read_shots
from bench.spec.mapping_texts import read_fields, read_limit_grid, read_limits, read_ranges, read_settings
from bench.spec.suite import Block
from bench.spec.yaml_text import DEEPEST, yaml_text, yaml_value
from bench.toolkit.images import decoded, image_formats
from bench.toolkit.visible import visible, visible_lines
from tests.faults.mutation import PIECES, mutated
from tests.helpers.images import noise

AT_ONCE = 2000
"""Examples of one seed; a campaign takes one seed after another until its time is over."""
LONGEST = 2000
"""Most characters of a message."""
MARKUP = re.compile(r"[|`\\<>\n]|\]\(|(?<!&)[@#]\w|://")
"""What Markdown must not be given, empty comments left out."""
SLOW = 5.0
"""Seconds of the processor that no reader may take."""
_TOKENS = [piece.decode(errors="replace") for piece in PIECES] + list(" \n#|>%@`~=.-")
_PLAIN = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=8)
_TEXTS = st.one_of(
    st.text(max_size=60),
    st.text(string.printable, max_size=60),
    st.lists(st.one_of(st.sampled_from(_TOKENS), _PLAIN), max_size=30).map("".join),
    st.sampled_from(["[", "{", "- ", "? ", "a: ", "&a [*a, ", "!!seq ["]).flatmap(
        lambda piece: st.integers(1, 3000).map(lambda times: piece * times)
    ),
)
_NUMBERS = st.one_of(
    st.integers(-(10**30), 10**30).map(str),
    st.floats().map(str),
    st.sampled_from(["010", "1:30", "1e999", ".inf", "0-9"]),
)
_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63) + 1, 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_PLAIN, inner, max_size=4)),
    max_leaves=12,
)
_PAIRS = st.one_of(
    st.builds("{}={}".format, _PLAIN, st.one_of(_NUMBERS, _TEXTS)),
    st.builds("{}.{}={}".format, _PLAIN, _PLAIN, st.one_of(_NUMBERS, _TEXTS)),
)
_OPTIONS: list[Callable[[str], Any]] = [
    read_fields, read_settings, read_limits, read_limit_grid, read_ranges, read_seeds, read_shots, parse_match,
    lambda text: budget_of(read_limits(text), "budget"),
    lambda text: validated(Block, {"task": "digits", "methods": text, "shots": text, "seeds": text}, "run"),
    lambda text: validated(Block, {"task": text, "methods": "knn", "set": text, "precision": text}, "run"),
]  # fmt: skip


def in_one_line(read: Callable[[], Any]) -> Any:
    """What a reader returns; None where it refuses in one line. Anything else is a failure."""
    began, found, message = time.process_time(), None, ""
    try:
        found = read()
    except (ValueError, BenchError) as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < LONGEST
    assert time.process_time() - began < SLOW
    return found


def read_any_yaml(text: str) -> None:
    """Any text is read or refused, and what is read is read again from what is written."""
    found = in_one_line(lambda: yaml_value(text))
    if found is not None and _levels(found) < DEEPEST:  # a field is one level more
        assert yaml_value(yaml_text({"field": found}))["field"] == found


def _levels(value: Any) -> int:
    """Levels of nesting of a value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_levels, inner), default=0)


def keep_any_value(value: Any) -> None:
    """Plain values are written and read back unchanged."""
    again = yaml_value(yaml_text({"field": value}))["field"]
    assert (again, type(again)) == (value, type(value))


def read_any_option(text: str) -> None:
    """Any text of an option is read or refused."""
    for read in _OPTIONS:
        in_one_line(lambda read=read: read(text))


def _images() -> list[bytes]:
    """A small image in each format that can be written."""
    found = []
    for kind in sorted({*image_formats()} & Image.SAVE.keys()):
        for image in (noise(0).resize((24, 24)).convert("RGB"), noise(1)):
            file = io.BytesIO()
            try:
                image.save(file, kind)
            except (OSError, ValueError, KeyError):  # a format of one mode alone, or of several images
                continue
            found.append(file.getvalue())
            break
    return found


_IMAGES = _images()


def read_any_image(whole: bytes, draw: random.Random, intact: bool) -> None:
    """Any bytes are an image in RGB, or refused by name."""
    content = whole if intact else mutated(whole, draw)
    began, message = time.process_time(), ""
    try:
        (image,) = decoded({"input": [{"bytes": content, "path": "the name"}]})["input"]
        assert to_rgb(image).mode == "RGB"
    except DataError as error:
        message = str(error)
    assert "\n" not in message
    assert not message or ("the name" in message and not intact)
    assert time.process_time() - began < SLOW


def show_any_name(text: str) -> None:
    """Any name is shown as text in each form."""
    for shown in (visible(text), visible_lines(text), markdown_text(text)):
        shown.encode()
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert "\n" not in visible(text)
    assert not MARKUP.search(markdown_text(text).replace("<!-- -->", "\0"))
    assert not re.match(r"\s*[=+@]|[\t\r]|\s*-.", str(csv_cell(text)))


READERS: dict[str, tuple[Callable[..., None], tuple[st.SearchStrategy[Any], ...]]] = {
    "YAML": (read_any_yaml, (_TEXTS,)),
    "values": (keep_any_value, (_VALUES,)),
    "options": (read_any_option, (st.one_of(_TEXTS, _PAIRS),)),
    "images": (read_any_image, (st.sampled_from(_IMAGES), st.randoms(use_true_random=False), st.booleans())),
    "names": (show_any_name, (st.text(max_size=80),)),
}
"""Readers with the kinds of their inputs."""


def fuzz(name: str, seconds: float = 0.0, examples: int = AT_ONCE) -> dict[str, int]:
    """Generate inputs of a reader, until some time is over; the first that fails ends it with an error.

    Args:
        name: A key of READERS.
        seconds: The time; 0 for the examples of one seed, the same in each call.
        examples: Examples of one seed.

    Returns:
        Numbers of ``inputs`` and of whole ``minutes``.
    """
    reader, inputs = READERS[name]
    began, rounds = time.monotonic(), 0
    chosen = settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    while rounds == 0 or time.monotonic() - began < seconds:
        seeded(rounds)(chosen(given(*inputs)(reader)))()
        rounds += 1
    return {"inputs": rounds * examples, "minutes": int(time.monotonic() - began) // 60}
