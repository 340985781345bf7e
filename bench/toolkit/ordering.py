"""Order of items by length."""

from collections.abc import Sequence


def length_order(lengths: Sequence[int], longest_first: bool = False) -> list[int]:
    """Indices in order of length, so that items of like length share a batch and little of it is padding.

    Args:
        lengths: Length of each item, in tokens or characters.
        longest_first: Begin with the longest, so that a batch that does not fit in memory shows at once.

    Returns:
        The indices; items of one length stay in their order.
    """
    return sorted(range(len(lengths)), key=lambda index: -lengths[index] if longest_first else lengths[index])
