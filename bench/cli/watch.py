"""``bench watch``: follow a store that other processes fill."""

from typing import Annotated

from bench import api
from bench.cli.options import DEFAULT_STORE, OnlyTasks, StoreOption, option
from bench.cli.output import say
from bench.runs.signals import Interrupted, interrupts
from bench.toolkit.counted import counted


def watch(
    store: StoreOption = DEFAULT_STORE,
    task: OnlyTasks = None,
    every: Annotated[float, option("--every", metavar="SECONDS", help="Time between two looks at the store.")] = 2.0,
) -> None:
    """Follow a store that other processes fill.

    A line for each record that is written from now on; Ctrl-C ends it.
    """
    from bench.results.store import Store
    from bench.runs.progress import record_line
    from bench.toolkit.files import user_path

    there = len(Store(user_path(store)).paths())
    say(f"{store} has {counted(there, 'record')}; waiting for more, Ctrl-C ends this", err=True)
    new = 0
    try:
        with interrupts():
            for record in api.watch(store, task=task or (), every=every):
                new += 1
                say(f"[{new}] {record_line(record)}")
    except Interrupted:
        say(f"{new} new; next: bench open --store {store}", err=True)
