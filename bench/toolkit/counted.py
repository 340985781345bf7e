"""Numbers with their nouns."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun.

    Args:
        number: The number.
        noun: The noun of one.
        plural: The noun of several; by default with an s.

    Returns:
        For example "1 row", "0 rows" or "1,200 queries".
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
