"""Files that are not flushed to the disk, which takes ten milliseconds each time: no test ends the machine's power."""


def done(descriptor):
    """In place of ``os.fsync``; tests of when it is called, and of its errors, have one of their own."""
