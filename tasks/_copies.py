"""Copies of items: the same pixels or numbers, or the same text but for white space and Unicode form."""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from bench.contracts import DataError, Pool

MOST_IMAGES = 50_000
"""Largest number of images whose pixels are compared; decoding more would take minutes."""
SHOWN = 3
"""Number of copies that a message names."""


def normal_text(text: str) -> str:
    """A text in one Unicode form (NFKC), with single spaces.

    Args:
        text: The text.

    Returns:
        The normal form.
    """
    return _single_spaced(unicodedata.normalize("NFKC", text))


def contents(name: str, items: str, *pools: Pool) -> list[list[str]]:
    """What each item of some pools is, the same for copies.

    Args:
        name: Name of the task, for messages.
        items: What its items are, in messages.
        *pools: Images, texts or vectors.

    Returns:
        Normal texts, or hashes of pixels or numbers, of each pool.

    Raises:
        DataError: For items that cannot be read, with their number and the first few.
    """
    broken: list[DataError] = []

    def content(pool: Pool, item: int) -> str:
        try:
            return _content(pool.inputs[item]["input"])
        except DataError as error:
            broken.append(error)
            return ""

    found = [[content(pool, item) for item in range(len(pool.labels))] for pool in pools]
    if broken:
        named = "; ".join(map(str, broken[:SHOWN]))
        raise DataError(
            f"{name} has {len(broken)} {items} that cannot be read: {named}{'; ...' if len(broken) > SHOWN else ''}; "
            "repair or remove them"
        )
    return found


def _content(raw: Any) -> str:
    if isinstance(raw, Image.Image):
        if raw.mode == "P":  # its bytes are places in a palette of its own
            raw = raw.convert("RGBA")
        return hashlib.sha256(f"{raw.mode} {raw.size}".encode() + raw.tobytes()).hexdigest()
    if isinstance(raw, str):
        return normal_text(raw)
    return hashlib.sha256(np.asarray(raw, dtype=np.float32).tobytes()).hexdigest()


def require_apart(name: str, items: str, support: Pool, query: Pool, shown: Callable[[Any], str]) -> None:
    """Require that no item is in both pools.

    Args:
        name: Name of the task, for messages.
        items: What its items are, in messages.
        support: The support pool.
        query: The query pool.
        shown: Function from an item's input to words for messages.

    Raises:
        DataError: With the number of copies and the first few.
    """
    if _too_many(support, query):
        return
    own, other = contents(name, items, support, query)
    shared = sorted(set(own) & set(other))
    if shared:
        places = [(own.index(each), other.index(each)) for each in shared[:SHOWN]]
        named = ", ".join(f"{shown(query.inputs[there]['input'])} (items {here} and {there})" for here, there in places)
        raise DataError(
            f"{name} needs each of its {items} in support or in query, not in both; {len(shared)} are in both: {named}"
            f"{', ...' if len(shared) > SHOWN else ''}; remove the copies"
        )


def distinct(name: str, items: str, pool: Pool, shown: Callable[[Any], str]) -> np.ndarray:
    """Positions of the items of a pool without their copies.

    Args:
        name: Name of the task, for messages.
        items: What its items are, in messages.
        pool: The pool.
        shown: Function from an item's input to words for messages.

    Returns:
        ``[item]`` positions; of copies the first.

    Raises:
        DataError: If copies have different labels.
    """
    if _too_many(pool):
        return np.arange(len(pool.labels))
    first: dict[str, int] = {}
    kept = []
    for item, content in enumerate(contents(name, items, pool)[0]):
        earlier = first.setdefault(content, item)
        if earlier == item:
            kept.append(item)
        elif pool.labels[earlier] != pool.labels[item]:
            raise DataError(
                f"{name} needs one label for the same {items}, got two for {shown(pool.inputs[item]['input'])} "
                f"(items {earlier} and {item}); correct or remove them"
            )
    return np.array(kept)


def other_than_queries(support: Iterable[str], query: Iterable[str]) -> list[int]:
    """Positions of the support texts of a published split that are no query's.

    Args:
        support: Support texts, as far as they tell items apart.
        query: The same of the queries.

    Returns:
        Positions in ``support``. White space makes no difference, as to a reader; Unicode forms do, so that published
        pools stay what they were.
    """
    known = {_single_spaced(text) for text in query}
    return [place for place, text in enumerate(support) if _single_spaced(text) not in known]


def _single_spaced(text: str) -> str:
    return " ".join(text.split())


def _too_many(*pools: Pool) -> bool:
    images = not isinstance(_first(pools[0]), str)
    return images and sum(len(pool.labels) for pool in pools) > MOST_IMAGES


def _first(pool: Pool) -> Any:
    try:
        return pool.inputs[0]["input"]
    except DataError:
        return None


def look_alike(names: Sequence[str]) -> list[list[str]]:
    """Names that a reader cannot tell apart: equal but for Unicode form, underscores, spaces and invisible ends.

    Args:
        names: Different names.

    Returns:
        Groups of two names or more.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(normal_text(name.replace("_", " ")), []).append(name)
    return [group for group in groups.values() if len(group) > 1]
