"""Reference texts of an item, one or several."""

Target = str | tuple[str, ...]
"""A reference text, or several, of which methods learn from the first."""


def references(target: Target) -> tuple[str, ...]:
    """The reference texts of an item.

    Args:
        target: One text or several.

    Returns:
        The texts.
    """
    return (target,) if isinstance(target, str) else tuple(target)
