"""What collections of garbage skip while stages are measured."""

import gc

from bench.meters.memory import garbage_collection_frozen


def test_of_two_contexts_one_within_the_other_the_outer_one_ends_the_skipping():
    gc.unfreeze()
    with garbage_collection_frozen():
        with garbage_collection_frozen():
            assert gc.get_freeze_count() > 0
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def test_a_process_that_skips_its_objects_for_good_goes_on_to_do_so():
    gc.freeze()
    with garbage_collection_frozen():
        pass
    assert gc.get_freeze_count() > 0
