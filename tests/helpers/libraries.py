"""The libraries of a run, imported by the process that tests/helpers/preloaded.py forks; it keeps to one thread."""

import atexit
import gc
import os
import sys

PATH = [place for place in sys.path if place]
"""Where this interpreter finds modules, but for the current folder."""

PID = os.getpid()
# At its end, libraries would report what the frozen garbage below keeps; forks run their own functions of atexit only.
atexit.register(lambda: os.getpid() == PID and os._exit(0))
# Collections of garbage would write to, and so copy, memory that the forks share.
gc.collect()
gc.freeze()
