"""Imports the modules that a file lists, by its own import: for a server that is forked for each command."""

import gc
import importlib
import os
from contextlib import suppress
from pathlib import Path

LISTED = "PRELOAD"
"""Variable that names the file."""

for _name in Path(os.environ[LISTED]).read_text(encoding="utf-8").split():
    with suppress(Exception):  # a module that only its package can import, or that another one replaced
        importlib.import_module(_name)

# A collection of garbage in a fork would write to, and so copy, all that was imported.
gc.collect()
gc.freeze()
