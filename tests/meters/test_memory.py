"""What collections of garbage skip while stages are measured."""

import gc
import subprocess
import sys

import pytest

from bench.meters.memory import LoadedObjects, garbage_collection_frozen
from bench.toolkit.collection import without_collection

IN_A_COMMAND = """
import gc
import bench.cli.app

def command():
    from bench.meters.memory import garbage_collection_frozen

    with garbage_collection_frozen():
        print(gc.isenabled(), gc.get_freeze_count() > 0)
    print(gc.get_freeze_count())

bench.cli.app.main = command
from bench.__main__ import main
main()
"""
"""What a command's process skips within a context, and afterwards."""


@pytest.mark.slow
def test_of_two_contexts_one_within_the_other_the_outer_one_ends_the_skipping():
    gc.unfreeze()
    with garbage_collection_frozen():
        with garbage_collection_frozen():
            assert gc.get_freeze_count() > 0
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


@pytest.mark.slow
def test_a_process_that_skips_its_objects_for_good_goes_on_to_do_so():
    gc.freeze()
    with garbage_collection_frozen():
        pass
    assert gc.get_freeze_count() > 0


@pytest.mark.slow
def test_what_a_worker_has_loaded_is_seen_again_unless_its_process_skips_its_objects_for_good():
    for for_good in (False, True):
        gc.unfreeze()
        if for_good:
            gc.freeze()
        objects = LoadedObjects()
        objects.skip()
        assert gc.get_freeze_count() > 0
        objects.release()
        assert (gc.get_freeze_count() > 0) == for_good


def test_what_is_made_without_collections_is_old_afterwards_and_what_was_frozen_stays_so():
    gc.unfreeze()
    with without_collection():
        made = [[]]
    assert gc.isenabled()
    assert any(each is made for each in gc.get_objects(generation=2))
    assert gc.get_freeze_count() == 0
    gc.freeze()
    with without_collection():
        pass
    assert gc.get_freeze_count() > 0
    gc.unfreeze()


@pytest.mark.slow
def test_a_command_skips_its_objects_in_a_context_and_not_for_good():
    ended = subprocess.run([sys.executable, "-c", IN_A_COMMAND], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["True", "True", "0"]
