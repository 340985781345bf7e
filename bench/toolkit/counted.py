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
    return f"{number:,} {noun_of(number, noun, plural)}"


def noun_of(number: object, noun: str, plural: str = "") -> str:
    """The noun of a number, which stands before it as its reader knows it: "1000 shots" is a part of a row's key.

    Args:
        number: The number, or a word such as "all".
        noun: The noun of one.
        plural: The noun of several; by default with an s.

    Returns:
        For example "row" for 1, and "rows" for 0, 1000 and "all".
    """
    return noun if number == 1 else plural or f"{noun}s"
