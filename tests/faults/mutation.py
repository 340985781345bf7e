"""Damage to the content of a file, as disks, transfers and editors do it."""

import random

PIECES = (
    b"", b"\0", b"\xff\xfe", b"\n", b"\r", b"\t", b'"', b"'", b",", b":", b"[", b"{", b"&a", b"*a", b"<<: *a",
    b"!!int x", b"010", b"1:30", b".inf", b"-1", b"1e999", b"9" * 400, b"- ", b"? ", b"\xed\xa0\x80", b"\\ud800",
    b"NaN", b"null", b"[" * 100,
)  # fmt: skip
"""Pieces that mean something to a reader."""


def mutated(content: bytes, draw: random.Random) -> bytes:
    """The content with one to three changes.

    Args:
        content: Content of a file.
        draw: The source of chance.

    Returns:
        Other bytes, or by chance the same.
    """
    found = bytearray(content)
    for _ in range(draw.randint(1, 3)):
        start = draw.randrange(len(found) + 1)
        end = min(len(found), start + draw.choice((1, 2, 8, 64, 4096)))
        match draw.randrange(8):
            case 0 | 1:
                found[start : start + 1] = bytes([draw.randrange(256)])
            case 2:
                del found[start:]  # a file that was cut
            case 3:
                found[start:end] = bytes(end - start)  # a sector of zeros
            case 4:
                del found[start:end]
            case 5:
                found[start:start] = draw.choice(PIECES)
            case 6:
                found[start:start] = found[draw.randrange(len(found) + 1) :][: end - start]
            case 7:
                found[start:end] = draw.choice(PIECES)
    return bytes(found)
