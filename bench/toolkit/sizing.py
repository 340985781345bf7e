"""Sizes of methods by a limit of parameters."""

from collections.abc import Callable


def largest_size(count: Callable[[int], int], limit: int, most: int) -> int:
    """The size with the most parameters within a limit; of several with equally many, the smallest.

    Args:
        count: Number of parameters of a size from 1 on, which never falls from one size to the next.
        limit: Largest number of parameters.
        most: Largest size.

    Returns:
        The size; 0 where even size 1 has more parameters.
    """
    if (smallest := count(1)) > limit:
        return 0
    fits, above = 1, most + 1
    # Most methods' parameters are proportional to their size, so that this is right at once.
    guess, step = min(most, limit // max(1, smallest)), 1
    while fits < guess < above:
        if count(guess) > limit:
            above = guess
        else:
            fits, guess, step = guess, guess + step, 2 * step
    while above - fits > 1:
        middle = (fits + above) // 2
        if count(middle) > limit:
            above = middle
        else:
            fits = middle
    best, below = count(fits), 0
    middle = fits - 1
    while fits - below > 1:
        if count(middle) < best:
            below = middle
        else:
            fits = middle
        middle = (fits + below) // 2
    return fits
